"""Two states of a dataset held against each other, row by row: what came, what went, what changed in which column."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlaa_thinking.differing.facts import model_changes, other_files, rest_of, schema_changes
from vlaa_thinking.differing.hashes import Hashes, digests
from vlaa_thinking.edition import Edition, read_rows, schema_of
from vlaa_thinking.errors import SetupError
from vlaa_thinking.versions import Version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vlaa_thinking.versions import Part

EXAMPLES = 5
"""Ids that are kept of each kind of change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """What is different in B, seen from A."""

    a: str
    b: str
    rows: Mapping[str, tuple[int, int]]
    """Rows by split ("sft/train" ...), in A and in B."""
    added: Mapping[str, int]
    """Rows whose id A does not have, by split."""
    removed: Mapping[str, int]
    """Rows whose id B does not have, by split."""
    moved: Mapping[tuple[str, str], int]
    """Rows that are in another split, by the split in A and that in B."""
    changed: int
    """Rows that are in both, with something else in a column."""
    columns: Mapping[str, int]
    """By column: rows that have something else in it."""
    same: int
    """Rows that are in both, in one split and alike in every column."""
    examples: Mapping[str, tuple[str, ...]]
    """The first ids of the rows that were "added", "removed", "moved" and "changed"."""
    schema: tuple[str, ...]
    """What a program that reads A must be changed for to read B, a sentence each."""
    models: tuple[str, ...]
    """Who played another role, a sentence each."""
    files: tuple[str, ...]
    """The project's files that are not the same: prompts, verifiers, rules."""
    card: bool
    """Whether anything else is not the same: README.md, the manifest's numbers."""

    @property
    def part(self) -> Part | None:
        """The part of the semantic version that B must raise; None where there is nothing to publish.

        A changed schema raises the major version, changed rows the minor one, all else the patch.
        """
        if self.schema:
            return "major"
        if self.added or self.removed or self.moved or self.changed:
            return "minor"
        return "patch" if self.card or self.models or self.files else None

    def after(self, version: str) -> str:
        """Return the version that follows `version` ("1.0.0"); raises `SetupError` for what is none."""
        return str(Version.read(version.removeprefix("v")).after(self.part))

    def changelog(self) -> str:
        """Write the entry for the dataset's CHANGELOG.md, without its heading; "" where there is nothing to say."""
        moves = [f"{_rows(count)} moved from {a} to {b}." for (a, b), count in self.moved.items()]
        changes = [*self.schema, *self.models, *moves]
        if self.changed:
            columns = ", ".join(f"`{name}` in {count:,}" for name, count in self.columns.items())
            changes.append(f"{_rows(self.changed)} changed: {columns}.")
        if self.files:
            changes.append(f"Decided by other files: {', '.join(f'`{name}`' for name in self.files)}.")
        if self.card and not changes and not self.added and not self.removed:
            changes.append("The card; every row is as it was.")
        added = [f"{_rows(sum(self.added.values()))}: {_split_counts(self.added)}."] if self.added else []
        removed = (
            [f"{_rows(sum(self.removed.values()))}: {_split_counts(self.removed)}."] if self.removed else []
        )
        parts = {"Added": added, "Changed": changes, "Removed": removed}
        told = [
            f"### {name}\n\n" + "".join(f"- {line}\n" for line in lines)
            for name, lines in parts.items()
            if lines
        ]
        return "\n".join(told)


def diff(a: Path | str, b: Path | str) -> Diff:
    """Compare two finished datasets, A the earlier one: folders, or versions on the Hub ("org/name@v1.0.0").

    Rows are the same if their ids are; images are compared by the hashes that the rows name. Hashes of A's rows lie in
    a temporary file meanwhile, so memory does not grow with their number. Raises `OutputError` for no dataset folder.
    """
    return compare(Edition.open(a), Edition.open(b))


def compare(before: Edition, after: Edition) -> Diff:
    """Compare two datasets that are open."""
    with Hashes() as hashes:
        rows_a = _take_in(before, hashes)
        tally = _Tally()
        rows_b = _hold_against(after, hashes, tally)
        for place, row_id in hashes.unseen():
            tally.removed[place] += 1
            tally.note("removed", row_id)
    places = dict.fromkeys((*rows_a, *rows_b))
    return Diff(
        a=before.name,
        b=after.name,
        rows={place: (rows_a.get(place, 0), rows_b.get(place, 0)) for place in places},
        added=_in_order(tally.added, places),
        removed=_in_order(tally.removed, places),
        moved=dict(sorted(tally.moved.items())),
        changed=tally.changed,
        columns=dict(tally.columns.most_common()),
        same=tally.same,
        examples={name: tuple(ids) for name, ids in tally.examples.items()},
        schema=schema_changes(before, after),
        models=model_changes(before.manifest, after.manifest),
        files=other_files(before.manifest, after.manifest),
        card=rest_of(before.manifest) != rest_of(after.manifest),
    )


class _Tally:
    """What the rows came to so far."""

    def __init__(self) -> None:
        self.added: Counter[str] = Counter()
        self.removed: Counter[str] = Counter()
        self.moved: Counter[tuple[str, str]] = Counter()
        self.columns: Counter[str] = Counter()
        self.changed = 0
        self.same = 0
        self.examples: dict[str, list[str]] = {}

    def note(self, name: str, row_id: str) -> None:
        kept = self.examples.setdefault(name, [])
        if len(kept) < EXAMPLES:
            kept.append(row_id)


def _take_in(edition: Edition, hashes: Hashes) -> dict[str, int]:
    """Put the hashes of every row down; returns the rows by split."""
    counts: dict[str, int] = {}
    for config, part, files in edition.splits():
        place = f"{config}/{part}"
        for file in files:
            for lot in read_rows(file, _columns(file)):
                hashes.put(place, [(str(row["id"]), digests(row)) for row in lot])
                counts[place] = counts.get(place, 0) + len(lot)
    return counts


def _hold_against(edition: Edition, hashes: Hashes, tally: _Tally) -> dict[str, int]:
    """Hold every row against the one of its id; returns the rows by split."""
    counts: dict[str, int] = {}
    for config, part, files in edition.splits():
        place = f"{config}/{part}"
        for file in files:
            for lot in read_rows(file, _columns(file)):
                counts[place] = counts.get(place, 0) + len(lot)
                for row in lot:
                    _hold(row, place, hashes, tally)
    return counts


def _hold(row: Mapping[str, Any], place: str, hashes: Hashes, tally: _Tally) -> None:
    row_id = str(row["id"])
    found = hashes.take(row_id, place)
    if found is None:
        tally.added[place] += 1
        tally.note("added", row_id)
        return
    was_at, was = found
    now = digests(row)
    columns = [name for name in now if name in was and was[name] != now[name]]
    tally.columns.update(columns)
    if was_at != place:
        tally.moved[was_at, place] += 1
        tally.note("moved", row_id)
    if columns:
        tally.changed += 1
        tally.note("changed", row_id)
    if was_at == place and not columns:
        tally.same += 1


def _columns(file: Path) -> list[str]:
    """Name the columns that are compared: all but the image's bytes, whose hash is a column of its own."""
    names = schema_of(file).names
    if "id" not in names:
        raise SetupError(f"{file} has no column id: it was not made by vlaa-thinking")
    return [name for name in names if name != "image"]


def _in_order(counts: Counter[str], places: Mapping[str, None]) -> dict[str, int]:
    return {place: counts[place] for place in places if counts[place]}


def _split_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{place} {count:,}" for place, count in counts.items())


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
