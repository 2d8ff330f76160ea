"""The spool: finished records between the two passes, so that the order of completion never shows.

An SQLite table in the work folder, made anew by every build: everything after the answer cache is a pure
function of it and of the project's files. Small columns for `curate`, the whole record for the writer.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlaa_thinking.record import CaptionSignals, Cue, Gold, Outcome, Picture, Record, Score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

_TABLE = """
CREATE TABLE rows (
  key TEXT NOT NULL, copy INTEGER NOT NULL, id TEXT NOT NULL, source TEXT NOT NULL, answer_type TEXT NOT NULL,
  image TEXT, trace BLOB, status TEXT NOT NULL, step TEXT NOT NULL, code TEXT NOT NULL, cues TEXT NOT NULL,
  teacher_pass_rate REAL, policy_pass_rate REAL, rl_only INTEGER NOT NULL,
  config TEXT, part TEXT, why TEXT, evidence TEXT, record TEXT NOT NULL
)
"""

_INDEX = "CREATE UNIQUE INDEX rows_in_order ON rows (key, copy)"  # rows are long: in the index they would be moved about

LIVE = "live"
"""The status of a row that came through all steps and waits for `curate`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What `curate` knows of a row that came through: no text, no bytes."""

    key: str
    source: str
    image: str
    """SHA-256 of its image: rows of one image are a group."""
    cues: tuple[str, ...]
    """The phrases of self-reflection in its teacher's reply."""
    teacher_pass_rate: float | None = None
    policy_pass_rate: float | None = None
    rl_only: bool = False
    """Whether its source's rows are for reinforcement learning alone."""
    id: str = ""
    """The row's, to be named as evidence."""
    twin: str | None = None
    """Where other images are near-duplicates of its own: the lowest SHA-256 among them all."""

    @property
    def group(self) -> str:
        """What holds rows together: those with the same value go to one split."""
        return self.twin or self.image


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Where `curate` sends a row."""

    key: str
    config: str | None
    """"sft", "rl", or None: dropped."""
    part: str | None
    """"train" or "validation"."""
    code: str
    """"" for a kept row, else why it was dropped."""
    why: str
    """One sentence."""
    evidence: str | None = None
    """What shows it, for a row that was dropped."""


class Spool:
    """The open spool of one build."""

    def __init__(self, path: Path, *, fresh: bool, between_rows: Callable[[], None] | None = None) -> None:
        """Open the spool; `fresh` throws an old one away, `between_rows` may raise to end a reading."""
        self._between_rows = between_rows
        if fresh:
            path.unlink(missing_ok=True)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        if fresh:
            # Nothing here is worth a disk flush: a killed build makes its spool again from the cache.
            self._db.execute("PRAGMA journal_mode=OFF")
            self._db.execute("PRAGMA synchronous=OFF")
            self._db.execute(_TABLE)
            self._db.execute(_INDEX)
            self._db.execute("BEGIN")

    def put(self, record: Record, copy: int, kept: Decision | None = None) -> None:
        """Add a finished record; `copy` counts rows of the same id, `kept` is where it goes, if that is known."""
        outcome = record.outcome
        status, step, code = (outcome.status, outcome.step, outcome.code) if outcome else (LIVE, "", "")
        config, part, why = (kept.config, kept.part, kept.why) if kept else (None, None, None)
        row = (
            record.key,
            copy,
            record.id,
            record.source,
            record.gold.answer_type,
            record.picture.sha256 if record.picture else None,
            _trace(record),
            "kept" if kept else status,
            step,
            code,
            json.dumps([c.phrase for c in record.cues], ensure_ascii=False),
            record.teacher_pass_rate,
            record.policy_pass_rate,
            record.way == "rl_only",
            config,
            part,
            why,
            None,
            dump(record),
        )
        self._db.execute(f"INSERT INTO rows VALUES ({','.join('?' * len(row))})", row)  # noqa: S608 - our own marks

    def facts(self, twins: Mapping[str, str]) -> Iterator[Fact]:
        """Give the facts of the rows that came through, in key order; `twins` names the group of an image that has one."""
        query = (
            "SELECT key, source, image, cues, teacher_pass_rate, policy_pass_rate, rl_only, id FROM rows "
            "WHERE status = ? ORDER BY key"
        )
        for key, source, image, cues, teacher, policy, rl_only, row_id in self._db.execute(query, (LIVE,)):
            yield Fact(
                key=key,
                source=source,
                image=image,
                cues=tuple(json.loads(cues)),
                teacher_pass_rate=teacher,
                policy_pass_rate=policy,
                rl_only=bool(rl_only),
                id=row_id,
                twin=twins.get(image),
            )

    def fingerprints(self) -> Iterator[tuple[str, str]]:
        """Give each image of the rows that came through once, by its hash, with its fingerprint."""
        query = "SELECT image, json_extract(record, '$.picture.fingerprint') FROM rows WHERE status = ? GROUP BY image"
        yield from self._db.execute(query, (LIVE,))

    def questions(self) -> Iterator[tuple[str, str, str, str, bool]]:
        """Give each row's key, source, image ("": none) and question, and whether it came through; in key order."""
        query = (
            "SELECT key, source, coalesce(image, ''), json_extract(record, '$.question'), status = ? FROM rows "
            "ORDER BY key, copy"
        )
        for key, source, image, question, live in self._db.execute(query, (LIVE,)):
            yield key, source, image, question, bool(live)

    def measured(self, most: int) -> list[Record]:
        """Return the first rows in key order that came through and whose policy_pass_rate is known."""
        query = (
            "SELECT record FROM rows WHERE status = ? AND policy_pass_rate IS NOT NULL ORDER BY key LIMIT ?"
        )
        return [load(text) for (text,) in self._db.execute(query, (LIVE, most))]

    def decide(self, decisions: Iterable[Decision]) -> None:
        """Write down what `curate` decided."""
        for d in decisions:
            status = "kept" if d.config else "dropped"
            row = (
                status,
                "" if d.config else "curate",
                d.code,
                d.config or "rejected",
                d.part or "train",
                d.why,
                d.evidence,
                d.key,
            )
            self._db.execute(
                "UPDATE rows SET status=?, step=?, code=?, config=?, part=?, why=?, evidence=? WHERE key=? AND copy=0",
                row,
            )
        self._db.execute(
            "UPDATE rows SET config='rejected', part='train' WHERE status='dropped' AND config IS NULL"
        )
        self.settle()

    def settle(self) -> None:
        """Write down all that was put in."""
        self._db.execute("COMMIT")

    def rows(self, config: str, part: str) -> Iterator[tuple[Record, str | None]]:
        """Give the records of one split with their `why`, in key order."""
        query = "SELECT record, status, code, why, evidence FROM rows WHERE config=? AND part=? ORDER BY key, copy"
        for text, status, code, why, evidence in self._db.execute(query, (config, part)):
            if self._between_rows:
                self._between_rows()
            yield load(text, _decided(status, code, why, evidence)), why

    def size(self) -> int:
        """Count all rows."""
        (rows,) = self._db.execute("SELECT COUNT(*) FROM rows").fetchone()
        return int(rows)

    def collected(self) -> Iterator[tuple[Record, int]]:
        """Give every record as its steps left it, with how many rows of its id came before it, in key order."""
        for text, copy in self._db.execute("SELECT record, copy FROM rows ORDER BY key, copy"):
            yield load(text), copy

    def count(self, *columns: str) -> list[tuple[Any, ...]]:
        """Count rows by these columns, in their order; each result is the values and the count."""
        names = ", ".join(columns)
        return self._db.execute(
            f"SELECT {names}, COUNT(*) FROM rows GROUP BY {names} ORDER BY {names}"  # noqa: S608 - our own names
        ).fetchall()

    def shared_traces(self) -> int:
        """Count the kept rows whose teacher's reply is another kept row's, too."""
        query = (
            "SELECT COUNT(*) FROM rows WHERE status='kept' AND trace IS NOT NULL "
            "GROUP BY trace HAVING COUNT(*) > 1"
        )
        return sum(count for (count,) in self._db.execute(query))

    def shared_images(self) -> int:
        """Count the images that kept rows of more than one config show."""
        query = (
            "SELECT COUNT(*) FROM (SELECT image FROM rows WHERE status='kept' AND image IS NOT NULL "
            "GROUP BY image HAVING COUNT(DISTINCT config) > 1)"
        )
        (count,) = self._db.execute(query).fetchone()
        return int(count)

    def find(self, row_id: str) -> list[tuple[Record, str | None, str | None]]:
        """Return the rows with this id, or with this id behind their source, each with split and `why`."""
        query = (
            "SELECT record, config || '/' || part, why, status, code, evidence FROM rows "
            "WHERE id = ? OR substr(id, length(source) + 2) = ? ORDER BY key, copy"
        )
        rows = self._db.execute(query, (row_id, row_id)).fetchall()
        return [
            (load(text, _decided(status, code, why, evidence)), split, why)
            for text, split, why, status, code, evidence in rows
        ]

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def dump(record: Record) -> str:
    """Write a record as JSON."""
    return json.dumps(record, default=_fields, ensure_ascii=False, separators=(",", ":"))


def load(text: str, ended: Outcome | None = None) -> Record:
    """Read a record that `dump` wrote; `ended` is its outcome where it had none."""
    values: dict[str, Any] = json.loads(text)
    gold = values["gold"]
    gold["boxes"] = tuple(tuple(box) for box in gold["boxes"])
    gold["size"] = tuple(gold["size"]) if gold["size"] else None
    gold["answers"], gold["choices"] = tuple(gold["answers"]), tuple(gold["choices"])
    values["gold"] = Gold(**gold)
    values["cues"] = tuple(Cue(**cue) for cue in values["cues"])
    values["models"] = tuple((role, model) for role, model in values["models"])
    for name, cls in (
        ("picture", Picture),
        ("caption_signals", CaptionSignals),
        ("score", Score),
        ("second", Score),
        ("outcome", Outcome),
    ):
        values[name] = cls(**values[name]) if values[name] else None
    values["outcome"] = values["outcome"] or ended
    return Record(**values)


def _trace(record: Record) -> bytes | None:
    if record.teacher_response is None:
        return None
    text = f"{record.teacher_reasoning}\n{record.teacher_response}"
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _decided(status: str, code: str, why: str | None, evidence: str | None) -> Outcome:
    """Return the outcome that `curate` gave a row."""
    return Outcome(
        status="kept" if status == "kept" else "dropped",
        step="curate",
        code=code,
        reason=why or "",
        evidence=evidence,
    )


def _fields(value: Any) -> dict[str, Any]:  # noqa: ANN401 - json hands over what it cannot write
    return (
        vars(value) if isinstance(value, Record) else {name: getattr(value, name) for name in value.__slots__}
    )
