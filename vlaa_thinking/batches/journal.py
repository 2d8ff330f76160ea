"""The journal of a build's batches: what one is to hold is written down before it is sent.

One SQLite file in the work folder, made with the first batch. What a batch holds is forgotten once its results are in
the answer cache; that there was one stays.
"""

from __future__ import annotations

import sqlite3
import threading
import zlib
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING, Any

from vlaa_thinking.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

VERSION = 1
"""Of the file's tables."""

_TABLES = (
    (
        "CREATE TABLE batches (id TEXT PRIMARY KEY, provider_id TEXT, model TEXT, who TEXT, roles TEXT, api TEXT, "
        "url TEXT, key_env TEXT, requests INTEGER, bytes INTEGER, estimate REAL, intended REAL, sent REAL, ended REAL, "
        "state TEXT, done INTEGER, failed INTEGER)"
    ),
    (
        "CREATE TABLE requests (batch TEXT, key BLOB, sha256 BLOB, role TEXT, estimate REAL, images TEXT, asked BLOB, "
        "PRIMARY KEY (batch, key)) WITHOUT ROWID"
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch, as the journal knows it. Times are seconds since the epoch."""

    id: str
    """Ours; OpenAI keeps it in the batch's metadata."""
    provider_id: str | None = None
    """None: not confirmed yet, it may never have arrived."""
    model: str
    """Its name in models.toml."""
    who: str
    """API, identity and model: whose answers these are in the cache."""
    roles: str
    api: str
    url: str | None
    key_env: str | None
    """How its provider can be asked again."""
    requests: int
    bytes: int
    estimate: float
    """The most US dollars that it may cost; 0 where the price is not known."""
    intended: float
    sent: float | None = None
    ended: float | None = None
    """When its results were taken in, or it was found that it never arrived."""
    state: str = "unconfirmed"
    """In the provider's own words."""
    done: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One request of a batch. Its `custom_id` is its key in the answer cache, in hex: 64 characters."""

    key: bytes
    sha256: bytes
    """Of the request's bytes as they were sent."""
    role: str
    estimate: float
    images: tuple[str, ...]
    """SHA-256 of each image's bytes as they were sent."""
    asked: bytes
    """The request in canonical form."""


class Journal:
    """An open journal; its methods may be called from any thread."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is made with the first batch."""
        self._path = path
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = self._opened() if path.exists() else None

    def _opened(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            version = self._version(db)
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")  # batches are few, and each may be worth a day
            if version == 0:
                db.execute("BEGIN IMMEDIATE")
                for statement in _TABLES:
                    db.execute(statement)
                db.execute(f"PRAGMA user_version={VERSION}")
                db.execute("COMMIT")
        except BaseException:
            db.close()
            raise
        return db

    def _version(self, db: sqlite3.Connection) -> int:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version not in (0, VERSION):
            raise OutputError(
                f"{self._path} is a journal of batches of version {version}, this package reads version {VERSION}: "
                "go on with the package that wrote it"
            )
        return int(version)

    def intend(self, batch: Batch, entries: Iterable[Entry]) -> None:
        """Write down what is about to be sent; on the disk on return."""
        rows = [
            (batch.id, e.key, e.sha256, e.role, e.estimate, " ".join(e.images), zlib.compress(e.asked, 1))
            for e in entries
        ]
        with self._lock:
            db = self._db = self._db or self._opened()
            db.execute("BEGIN IMMEDIATE")
            try:
                marks = ", ".join("?" * len(fields(Batch)))
                db.execute(f"INSERT INTO batches VALUES ({marks})", astuple(batch))  # noqa: S608 - question marks
                db.executemany("INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    def sent(self, batch: str, provider_id: str, at: float) -> None:
        """Note that a batch has arrived, and what its provider calls it."""
        self._do("UPDATE batches SET provider_id = ?, sent = ? WHERE id = ?", (provider_id, at, batch))

    def note(self, batch: str, state: str, done: int, failed: int) -> None:
        """Note how far a batch is."""
        self._do(
            "UPDATE batches SET state = ?, done = ?, failed = ? WHERE id = ?", (state, done, failed, batch)
        )

    def end(self, batch: str, state: str, at: float) -> None:
        """Note that nothing more is to be had of a batch, and forget what it held."""
        self._do("UPDATE batches SET state = ?, ended = ? WHERE id = ?", (state, at, batch))
        self._do("DELETE FROM requests WHERE batch = ?", (batch,))

    def batches(self) -> list[Batch]:
        """List all batches, in the order in which they were intended."""
        names = [field.name for field in fields(Batch)]
        return [
            Batch(**dict(zip(names, row, strict=True)))
            for row in self._ask("SELECT * FROM batches ORDER BY rowid")
        ]

    def open(self, who: str) -> list[Batch]:
        """List the batches of one model whose results are still to come."""
        return [batch for batch in self.batches() if batch.who == who and batch.ended is None]

    def keys(self, batch: str) -> list[bytes]:
        """List what an open batch holds."""
        return [key for (key,) in self._ask("SELECT key FROM requests WHERE batch = ?", (batch,))]

    def entries(self, batch: str) -> Mapping[bytes, Entry]:
        """Return what an open batch holds, by key."""
        query = "SELECT key, sha256, role, estimate, images, asked FROM requests WHERE batch = ?"
        found: dict[bytes, Entry] = {}
        for key, sha256, role, estimate, images, asked in self._ask(query, (batch,)):
            found[key] = Entry(
                key=key,
                sha256=sha256,
                role=role,
                estimate=estimate,
                images=tuple(images.split()),
                asked=zlib.decompress(asked),
            )
        return found

    def _ask(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._lock:
            return [] if self._db is None else self._db.execute(query, values).fetchall()

    def _do(self, statement: str, values: tuple[Any, ...]) -> None:
        with self._lock:
            if self._db is not None:
                self._db.execute(statement, values)

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
