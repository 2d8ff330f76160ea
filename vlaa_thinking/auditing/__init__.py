"""A finished dataset held against itself: every file's hash, every row's form, every verdict that a rule can reach."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vlaa_thinking.arrow import arrow_schema
from vlaa_thinking.auditing.rows import Desk, Told
from vlaa_thinking.columns import KEPT
from vlaa_thinking.dataset import root_of
from vlaa_thinking.edition import Edition, read_rows, schema_of
from vlaa_thinking.errors import OutputError
from vlaa_thinking.places import MANIFEST, hash_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vlaa_thinking.project import Project

EXAMPLES = 5
"""Places that are named of each kind of disagreement."""

THREADS = 4
"""Rows that are checked at once: mathematics waits for its worker processes."""

ALONGSIDE = (".gitattributes", ".cache/")
"""What the Hub, or its client, puts into a folder that was fetched."""

WHAT = {
    "missing_file": "A file that the manifest names is not there.",
    "unknown_file": "A file is there that the manifest does not name.",
    "changed_file": "A file's bytes are not those whose hash the manifest has.",
    "wrong_root": "The root hash is not that of the files with rows, as the manifest has them.",
    "unreadable_file": "A Parquet file cannot be read.",
    "wrong_columns": "A file's columns are not those of the schema.",
    "wrong_count": "The rows are not as many as the manifest says.",
    "wrong_form": "A row is not what the schema says.",
    "repeated_id": "Two kept rows have the same id.",
    "wrong_image": "A row's image is not the one whose hash it has.",
    "own_answer": "The check does not accept a row's own right answer.",
    "other_verdict": "The check gives a reply another score than the row has.",
    "kept_wrong": "A kept row's own score does not count as right.",
    "wrong_completion": "A completion is not the row's reasoning and answer between their tags.",
    "unknown_model": "A row names a model that did not play the role, as the manifest has it.",
    "other_files": "A row was decided by a file that is not the manifest's.",
}
"""Every kind of disagreement, in the order in which they are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One kind of disagreement."""

    code: str
    """A short stable name, a key of `WHAT`."""
    what: str
    """One sentence."""
    count: int
    """Files or rows that it was found in."""
    examples: tuple[str, ...]
    """The first few of them, and what is wrong there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What an audit came to."""

    name: str
    """As it was asked for."""
    folder: Path
    """Where it lies, or was fetched to."""
    files: int
    """Files that the manifest names."""
    bytes: int
    """Bytes that were hashed."""
    rows: Mapping[str, int]
    """Rows that were read, by split: "sft/train" ..."""
    answers: int
    """Right answers that were held against their own check."""
    verdicts: int
    """Verdicts that were reached again by rule."""
    unreached: Mapping[str, int]
    """Rows without such a verdict, by why."""
    findings: tuple[Finding, ...]
    """What disagrees; empty where all is as it should be."""

    @property
    def exit_code(self) -> int:
        """0: everything agrees; 3: something does not."""
        return 3 if self.findings else 0


@dataclass(slots=True)
class _Notes:
    """What was found so far; only the first places of each kind are kept."""

    counts: Counter[str] = field(default_factory=Counter[str])
    examples: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def add(self, code: str, example: str) -> None:
        self.counts[code] += 1
        kept = self.examples.setdefault(code, [])
        if len(kept) < EXAMPLES:
            kept.append(example)

    def findings(self) -> tuple[Finding, ...]:
        return tuple(
            Finding(code=code, what=what, count=self.counts[code], examples=tuple(self.examples[code]))
            for code, what in WHAT.items()
            if self.counts[code]
        )


def audit(folder: Path | str, *, project: Project | None = None) -> Audit:
    """Check a finished dataset: hashes, counts, columns, rows, and by rule every answer and verdict.

    The rules are those that the manifest names; `project` has them where they are not this package's own. No model is
    called. Raises `OutputError` where `folder` is no dataset folder, and no version on the Hub
    ("org/name@v1.0.0"), `SetupError` for a wrong project.
    """
    edition = Edition.open(folder)
    notes = _Notes()
    hashed = _check_files(edition, notes)
    desk = Desk(edition.manifest, project)
    counted = {
        f"{config}/{part}": sum(_check_file(file, config, desk, notes) for file in files)
        for config, part, files in edition.splits()
    }
    _check_counts(edition, counted, notes)
    return Audit(
        name=edition.name,
        folder=edition.folder,
        files=len(edition.manifest["files"]),
        bytes=hashed,
        rows=counted,
        answers=desk.answers,
        verdicts=desk.verdicts,
        unreached=dict(desk.unreached),
        findings=notes.findings(),
    )


def _check_files(edition: Edition, notes: _Notes) -> int:
    """Hold every file against its hash; returns how many bytes were hashed."""
    here = {p.relative_to(edition.folder).as_posix() for p in edition.folder.rglob("*") if not p.is_dir()}
    known = edition.manifest["files"]
    for name in sorted(here - set(known) - {MANIFEST}):
        if not name.startswith(ALONGSIDE):
            notes.add("unknown_file", name)
    if root_of(known) != edition.manifest["root_sha256"]:
        notes.add("wrong_root", f"{edition.manifest['root_sha256']}, and the files come to {root_of(known)}")
    hashed = 0
    for name, facts in sorted(known.items()):
        if name not in here:
            notes.add("missing_file", name)
            continue
        path = edition.folder / name
        hashed += (size := path.stat().st_size)
        if size != facts["bytes"]:
            notes.add("changed_file", f"{name}: {size:,} bytes, and the manifest says {facts['bytes']:,}")
        elif hash_file(path) != facts["sha256"]:
            notes.add("changed_file", name)
    return hashed


def _check_file(file: Path, config: str, desk: Desk, notes: _Notes) -> int:
    """Check a Parquet file's columns and rows; returns how many rows could be read."""
    name = f"{config}/{file.name}"
    rows = 0
    try:
        wrong = _wrong_columns(file, config)
        if wrong:
            notes.add("wrong_columns", f"{name}: {wrong}; its rows were only counted")
            return sum(len(lot) for lot in read_rows(file, ["id"]))
        with ThreadPoolExecutor(THREADS) as threads:
            for lot in read_rows(file):
                rows += len(lot)
                for row, told in zip(lot, threads.map(lambda row: desk.look(row, config), lot), strict=True):
                    _note_row(row, told, name, notes)
                for row_id in desk.repeated(lot) if config in KEPT else ():
                    notes.add("repeated_id", row_id)
    except OutputError as exc:
        notes.add("unreadable_file", f"{name}: {exc}")
    return rows


def _note_row(row: Mapping[str, object], told: Told, file: str, notes: _Notes) -> None:
    for code, sentence in told:
        notes.add(code, f"{file}, {row.get('id') or 'a row without an id'}: {sentence}")


def _wrong_columns(file: Path, config: str) -> str:
    """Say in what a file's columns differ from the schema's; "" if in nothing."""
    wanted, found = arrow_schema(config), schema_of(file)
    missing = [name for name in wanted.names if name not in found.names]
    extra = [name for name in found.names if name not in wanted.names]
    if missing or extra:
        return "; ".join(
            f"{what} {', '.join(names)}" for what, names in (("without", missing), ("with", extra)) if names
        )
    for name in wanted.names:
        if found.field(name).type != wanted.field(name).type:
            return f"{name} is {found.field(name).type}, not {wanted.field(name).type}"
    return "" if found.names == wanted.names else "in another order"


def _check_counts(edition: Edition, counted: Mapping[str, int], notes: _Notes) -> None:
    """Hold the rows that were read against the manifest's numbers."""
    said = {
        f"{config}/{part}": split["rows"]
        for config, parts in edition.manifest["splits"].items()
        for part, split in parts.items()
    }
    for place in dict.fromkeys((*said, *counted)):
        if said.get(place, 0) != counted.get(place, 0):
            notes.add("wrong_count", _counts(place, counted.get(place, 0), said.get(place, 0)))
    kept = sum(rows for place, rows in counted.items() if not place.startswith("rejected/"))
    for name, found in (("kept", kept), ("dropped", sum(counted.values()) - kept)):
        if edition.manifest["rows"].get(name) != found:
            notes.add("wrong_count", _counts(name, found, edition.manifest["rows"].get(name, 0)))


def _counts(what: str, found: int, said: int) -> str:
    return f"{what}: {found:,} rows, and the manifest says {said:,}"
