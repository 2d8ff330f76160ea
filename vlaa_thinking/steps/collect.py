"""Step 1: rows of all sources become records with sound images and canonical answers (paper, section 2)."""

from __future__ import annotations

import hashlib
import inspect
import operator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from vlaa_thinking import plugin
from vlaa_thinking.checks import canonical
from vlaa_thinking.errors import SetupError, VlaaError
from vlaa_thinking.images import original
from vlaa_thinking.record import Fault, Gold, Picture, Record, Row
from vlaa_thinking.settings import SourceHead
from vlaa_thinking.sources import Source as At
from vlaa_thinking.sources.draw import Draw
from vlaa_thinking.sources.text import repaired
from vlaa_thinking.toml import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vlaa_thinking.images import ImageStore, Original
    from vlaa_thinking.settings import Settings, Source
    from vlaa_thinking.shards import Shard
    from vlaa_thinking.sources import Reader


READERS = (
    "demo",
    "table",
    "clevr_math",
    "geoqa",
    "math_puma",
    "arxivqa",
    "docvqa",
    "vizwiz",
    "allava",
    "llava_cot_coco",
    "llava_cot_vg",
)
"""What `reader` may be in 1_collect.toml, beside a user's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """A record as it enters, with how many rows of the same id came before it."""

    record: Record
    copy: int


class Collection:
    """The rows of a build, round robin over its sources, as an iterator; sources are opened at once.

    With a `limit` a source's rows are taken as they come, so that a try of ten reads no more than ten.
    """

    def __init__(
        self,
        settings: Settings,
        images: ImageStore,
        *,
        seed: int,
        limit: int | None,
        shard: Shard | None = None,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """Open the sources; raises `SetupError` for a wrong reader, option, file or column.

        With a `shard` all rows are read and those that fall to it are given. `between` may raise to end the
        reading of a long source.
        """
        if limit is not None and limit < 1:
            raise SetupError(f"the limit is {limit}: it must be at least 1")
        self._images = images
        self._limit = limit
        self._shard = shard
        self._read = hashlib.sha256()
        self._taken: dict[str, int] = {source.name: 0 for source in settings.sources}
        self._seen: dict[bytes, int] = {}
        self._asked: dict[bytes, str] = {}
        """By a hash of image and question, the first row that asks it."""
        downloads = images.folder.with_name("downloads")
        self._at = At(name="", root=settings.root, seed=seed, downloads=downloads)
        self._between = between
        self._draws = {s.name: Draw(seed, s.take) for s in settings.sources if s.take and limit is None}
        self._open = [
            (source, open_source(source, replace(self._at, wanted=self._draws.get(source.name))))
            for source in settings.sources
        ]
        hints = [operator.length_hint(rows, 0) for _, rows in self._open]
        total = sum(_least(hint, source.take) for hint, (source, _) in zip(hints, self._open, strict=True))
        self.expected: int | None = _least(total, limit) if all(hints) else limit
        """How many rows there will be, where that is known or estimated."""
        self.names = ", ".join(self._taken)
        """The sources' names."""

    @property
    def not_taken(self) -> int:
        """Rows that the limits left where they are, as far as the sources tell."""
        ranked = sum(draw.rows - self._taken[name] for name, draw in self._draws.items())
        left = (
            operator.length_hint(rows, 0) for source, rows in self._open if source.name not in self._draws
        )
        return ranked + sum(left)

    @property
    def read(self) -> dict[str, Any]:
        """Say what was read so far, other shards' rows included: how many rows, and one hash of ids and images."""
        return {"rows": sum(self._taken.values()), "sha256": self._read.hexdigest()}

    def __iter__(self) -> Iterator[Collected]:
        """Give the records, one from each source in turn."""
        for source in (source for source, _ in self._open if source.name in self._draws):
            rows = open_source(source, replace(self._at, wanted=lambda _: False))
            self._draws[source.name].look(self._pulled(rows, source))
        turn = list(self._open)
        count = 0
        while turn:
            for pair in list(turn):
                if self._limit is not None and count >= self._limit:
                    return
                source, rows = pair
                done = source.take is not None and self._taken[source.name] >= source.take
                row = None if done else self._next(rows, source)
                if row is None:
                    turn.remove(pair)
                    continue
                self._taken[source.name] += 1
                count += 1
                collected = self._enter(source, row)
                if collected is None:
                    self._between()
                else:
                    yield collected

    def _next(self, rows: Iterator[Row], source: Source) -> Row | None:
        """Pull the next row that is taken."""
        draw = self._draws.get(source.name)
        if draw is None:
            return next_row(rows, source)
        return next((row for row in self._pulled(rows, source) if draw.take(row)), None)

    def _pulled(self, rows: Iterator[Row], source: Source) -> Iterator[Row]:
        while (row := next_row(rows, source)) is not None:
            self._between()
            yield row

    def _enter(self, source: Source, row: Row) -> Collected | None:
        """Make the record of a row; None where it falls to another shard."""
        row = _sound(row)
        image = row.image if isinstance(row.image, Fault) else original(row.image)
        source_id = row.id or _hash_id(row, image)
        named = hashlib.sha256(f"{source.name}/{source_id}".encode()).digest()
        known = named if isinstance(image, Fault) else image.sha256
        self._read.update(named + known)
        digest = named[:16]
        copy = self._seen.get(digest, 0)
        self._seen[digest] = copy + 1
        if self._shard and not self._shard.holds(known):
            return None
        facts = image if isinstance(image, Fault) else self._images.keep(image)
        record = _record(source, row, source_id, facts)
        first = None if copy and row.id else self._asked_before(record)
        if first:
            reason = "collect: an earlier row asks the same question on the same image"
            record = record.drop("collect", "duplicate_question", reason, f"row: {first}")
        elif copy:
            reason = f"collect: the id {record.source_id} was given to an earlier row of this source"
            record = record.drop("collect", "duplicate_id", reason, row.question[:500])
        return Collected(record=record, copy=copy)

    def _asked_before(self, record: Record) -> str | None:
        """Return the id of the first sound row with this image and question; case and spaces do not count."""
        if record.outcome is not None or record.picture is None:
            return None
        words = " ".join(record.question.casefold().split())
        choices = "\n".join(record.gold.choices)
        asked = f"{record.picture.sha256}\n{words}\n{choices}"
        digest = hashlib.sha256(asked.encode()).digest()[:16]
        first = self._asked.setdefault(digest, record.id)
        return None if first is record.id else first


def _least(count: int, cap: int | None) -> int:
    return count if cap is None else min(count, cap)


def next_row(rows: Iterator[Row], source: Source) -> Row | None:
    """Pull a row; what a reader raises against its contract is told, as the set-up's fault, in one sentence."""
    try:
        row = next(rows, None)
    except VlaaError:
        raise
    except Exception as exc:
        message = (
            f'the reader "{source.reader}" of source "{source.name}" failed: {type(exc).__name__}: {exc}'
        )
        raise SetupError(message) from exc
    if row is not None and not isinstance(row, Row):
        message = (
            f'the reader "{source.reader}" of source "{source.name}" gave a {type(row).__name__}, not a Row'
        )
        raise SetupError(message)
    return row


def reader_of(source: Source, root: Path) -> Reader:
    """Find the function that reads a source."""
    if ":" in source.reader:
        return plugin.load(source.reader, root)
    if source.reader in READERS:
        return plugin.load(f"vlaa_thinking.sources.{source.reader}:read", root)
    raise source.options.error(
        "reader",
        f'there is no reader "{source.reader}" (your own is "module:function"){nearest(source.reader, READERS)}',
    )


def options_of(source: Source, root: Path) -> dict[str, Any]:
    """Return a source's options, with its reader's own defaults."""
    parameters = inspect.signature(reader_of(source, root)).parameters.values()
    defaults = {
        p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is not p.empty
    }
    return {**defaults, **source.options.values}


def is_on_the_hub(source: Source, root: Path) -> bool:
    """Whether a source is read over the network, and from no folder."""
    options = options_of(source, root)
    return bool(options.get("hf")) and not options.get("path")


def open_source(source: Source, at: At) -> Iterator[Row]:
    """Open a source at the place `at` (its name is filled in); raises `SetupError` for a wrong option or file."""
    read = reader_of(source, at.root)
    known = {n: p for n, p in inspect.signature(read).parameters.items() if p.kind is p.KEYWORD_ONLY}
    options = {}
    for key, value in source.options.values.items():
        if key not in known:
            raise source.options.unknown(key, [*known, *(field.name for field in fields(SourceHead))])
        options[key] = source.options.convert(key, value, _type(read, known[key]))
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in options:
            raise source.options.error("reader", f'the key "{key}" is missing')
    return iter(read(replace(at, name=source.name), **options))


def _type(read: Reader, parameter: inspect.Parameter) -> Any:  # noqa: ANN401 - any type
    """Resolve one parameter's annotation; the others' may name what is imported for type checkers alone."""
    note = parameter.annotation
    if note is parameter.empty:
        return Any
    return eval(note, read.__globals__) if isinstance(note, str) else note  # noqa: S307 - the reader's own code


def _record(source: Source, row: Row, source_id: str, facts: Picture | Fault) -> Record:
    """Make the record of a row; what is wrong with the row is the record's outcome."""
    gold, fault = _gold(row)
    record = Record(
        id=f"{source.name}/{source_id}",
        source=source.name,
        source_id=source_id,
        source_license=source.license,
        question=row.question.strip(),
        gold=gold,
        picture=facts if isinstance(facts, Picture) else None,
        way=source.way,
        notes=row.notes.strip(),
        source_caption=row.caption if source.captions == "given" else None,
        text_question=row.text_question if source.captions == "given" else None,
        source_reasoning=row.reasoning if source.way == "adopt" else None,
        source_response=row.response if source.way == "adopt" else None,
        answer_share=row.answer_share,
    )
    for wrong in (facts, row.fault):
        if isinstance(wrong, Fault):
            return _ended(record, wrong, row)
    if not record.question:
        return record.drop("collect", "empty_question", "collect: the row has no question")
    if fault:
        return record.drop("collect", "bad_answer", f"collect: {fault}", f"answer: {row.answer}")
    return record


def _ended(record: Record, fault: Fault, row: Row) -> Record:
    """Drop a record for what is wrong with it; where another try may do better, it has failed."""
    reason = f"collect: {fault.reason}"
    if fault.again:
        return record.fail("collect", fault.code, reason)
    return record.drop("collect", fault.code, reason, f"answer: {row.answer}" if row.fault is fault else None)


def _sound(row: Row) -> Row:
    """Repair a row's texts; its id stays."""
    return replace(
        row,
        question=repaired(row.question),
        answer=repaired(row.answer),
        answers=tuple(map(repaired, row.answers)),
        choices=tuple(map(repaired, row.choices)),
        notes=repaired(row.notes),
        caption=repaired(row.caption) if row.caption else None,
        text_question=repaired(row.text_question) if row.text_question else None,
        reasoning=repaired(row.reasoning) if row.reasoning else None,
        response=repaired(row.response) if row.response else None,
    )


def _gold(row: Row) -> tuple[Gold, str]:
    """Read a row's right answer; returns it as it stands, and a sentence, where it cannot be read."""
    choices = row.choices or canonical.options_in(row.question)
    kind = row.answer_type
    if kind == "auto":
        kind = canonical.infer(
            row.answer, question=row.question, choices=choices, answers=row.answers, boxes=row.boxes
        )
    try:
        gold = canonical.canonical(row.answer, kind, choices=choices, answers=row.answers, boxes=row.boxes)
    except ValueError as exc:
        return Gold(answer_type=kind, answer=row.answer, answers=row.answers, choices=row.choices), str(exc)
    return gold, ""


def _hash_id(row: Row, image: Original | Fault) -> str:
    named = image.reason if isinstance(image, Fault) else image.sha256.hex()
    return hashlib.sha256(f"{named}\n{row.question}".encode()).hexdigest()[:16]
