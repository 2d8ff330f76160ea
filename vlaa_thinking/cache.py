"""The answer cache: one SQLite file that holds every finished reply, so that none is paid twice.

The key is the SHA-256 of a canonical form of exactly what decides the answer. The raw reply is committed
before anything reads it: a kill at any moment loses calls in flight and nothing else. A power cut may lose
the last moments' replies, never the file (WAL, `synchronous=NORMAL`).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
import threading
import time
import zlib
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlaa_thinking.errors import SetupError
from vlaa_thinking.llm import Completion, Json, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

SCHEME = 1
"""The version of the key's form and of the file's tables."""

OPENING_SECONDS = 30.0
"""How long a file that others are opening is waited for."""

_TABLES = (
    (
        "CREATE TABLE answers (key BLOB PRIMARY KEY, who TEXT NOT NULL, api TEXT NOT NULL, status INTEGER NOT NULL, "
        "body BLOB NOT NULL, sent TEXT NOT NULL, asked BLOB NOT NULL)"
    ),
    "CREATE TABLE images (sha256 BLOB PRIMARY KEY, facts TEXT NOT NULL)",
)

_DIFFERENCES = (
    "CREATE TABLE IF NOT EXISTS differences (pair BLOB PRIMARY KEY, version INTEGER NOT NULL, difference REAL NOT NULL) "
    "WITHOUT ROWID"
)
"""How much pairs of images differ: a table of its own, that older files of this version lack."""

_PUT = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)"

_ENCODE = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode

SMALLEST = 512
"""Bytes of the smallest SQLite file that is not empty; a shorter one would be taken for an empty one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What, beside the request, decides an answer: who is asked, and how images are sent."""

    api: str
    identity: str
    """The model's declared identity; by default its base URL without credentials."""
    resize: Mapping[str, Json]
    """The resize policy with its numbers."""

    def who(self, model: Json) -> str:
        """Name a model at this address."""
        return f"{self.api} {self.identity} {model or ''}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One stored answer."""

    key: bytes
    asked: bytes
    """The request in canonical form."""
    completion: Completion
    size: int
    """Bytes that it takes in the file, compressed."""


def canonical(request: Request, address: Address) -> bytes:
    """Write down exactly what decides the answer, always in the same way."""
    messages = [
        {
            "role": m.role,
            "text": m.text,
            "images": [{"sha256": i.sha256, "resize": address.resize} for i in m.images],
        }
        for m in request.messages
    ]
    form = {
        "scheme": SCHEME,
        "api": address.api,
        "identity": address.identity,
        "params": request.params,
        "messages": messages,
        "schema": request.schema,
        "sample": request.sample,
    }
    return _ENCODE(form).encode()


class Cache:
    """An open answer cache. Its methods may be called from any thread."""

    def __init__(self, path: Path) -> None:
        """Open the file, make it if need be; raises `SetupError` if it is no cache of this version."""
        self.path = path
        self._lock = threading.Lock()
        self._turn: list[tuple[StoredRow, asyncio.Future[None]]] = []
        """Replies of this turn of the event loop, not yet committed, with who waits for that."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Only by its size: to open and close it would undo the locks of this process's other connections.
            if 0 < path.stat().st_size < SMALLEST:
                raise SetupError(f"{path} is no answer cache: it is too small for an SQLite file")
        except FileNotFoundError:
            pass
        except OSError as exc:
            raise SetupError(f"{path} cannot be used as an answer cache: {exc.strerror}") from exc
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
            self._wait_for(self._open)
        except sqlite3.DatabaseError as exc:
            raise SetupError(f"{path} cannot be used as an answer cache: {exc}") from exc

    def _wait_for(self, opening: Callable[[], None]) -> None:
        """Open the file; where another build is making it at this moment, SQLite does not wait by itself."""
        give_up = time.monotonic() + OPENING_SECONDS
        while True:
            try:
                return opening()
            except SetupError:
                self._db.close()
                raise
            except sqlite3.OperationalError as exc:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if (
                    exc.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
                    or time.monotonic() > give_up
                ):
                    self._db.close()
                    raise
                time.sleep(0.02)

    def _open(self) -> None:
        """Look before anything is changed: a file that is not ours is left as it is."""
        self._db.execute("BEGIN")  # one moment's view: another build may be making the file
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        foreign = version == 0 and self._db.execute("SELECT 1 FROM sqlite_master").fetchone() is not None
        self._db.execute("COMMIT")
        if version not in (0, SCHEME):
            raise SetupError(
                f"{self.path} is an answer cache of version {version}, this package reads version {SCHEME}; "
                "name another file with --cache, or install the package that wrote it"
            )
        if foreign:
            raise SetupError(f"{self.path} is a database of another program, and no answer cache")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("BEGIN IMMEDIATE")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:  # nobody else made the tables meanwhile
            for statement in _TABLES:
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version={SCHEME}")
        self._db.execute(_DIFFERENCES)
        self._db.execute("COMMIT")

    def get(self, key: bytes) -> Completion | None:
        """Return the reply to the request with this key, if it is there."""
        with self._lock:
            row = self._db.execute(
                "SELECT api, status, body, sent FROM answers WHERE key = ?", (key,)
            ).fetchone()
        if row is None:
            return None
        api, status, body, sent = row
        return Completion(api=api, status=status, body=zlib.decompress(body), sent=tuple(sent.split()))

    def put(self, asked: bytes, completion: Completion, *, who: str = "") -> None:
        """Record a finished reply of the model `who`; committed on return."""
        self._write([_row(key_of(asked), asked, completion, who)])

    async def record(self, key: bytes, asked: bytes, completion: Completion, *, who: str = "") -> None:
        """Do what `put` does, in one transaction with all replies of this turn of the event loop."""
        loop = asyncio.get_running_loop()
        if not self._turn:
            loop.call_soon(self._end_turn)
        committed = loop.create_future()
        self._turn.append((_row(key, asked, completion, who), committed))
        await committed

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, []
        try:
            self._write([row for row, _ in turn])
        except sqlite3.Error as exc:
            for _, committed in turn:
                if not committed.done():
                    committed.set_exception(exc)
        else:
            for _, committed in turn:
                if not committed.done():
                    committed.set_result(None)

    def _write(self, rows: Sequence[StoredRow]) -> None:
        with self._lock:
            self._all_or_none(_PUT, rows)

    def put_rows(self, rows: Sequence[StoredRow]) -> None:
        """Record answers as another cache file holds them; none of them is told of as new."""
        if rows:
            with self._lock:
                self._all_or_none(_PUT, rows)

    def _all_or_none(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if len(rows) == 1:
            self._db.execute(statement, rows[0])
            return
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(statement, rows)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def knows(self, who: str) -> bool:
        """Say whether this model ever gave an answer."""
        query = "SELECT 1 FROM answers WHERE who = ? AND status < 400 LIMIT 1"
        with self._lock:
            return self._db.execute(query, (who,)).fetchone() is not None

    def asked_of(self, who: str) -> Iterator[bytes]:
        """Give the canonical forms of what this model answered, the latest first."""
        last = 1 << 62
        query = (
            "SELECT rowid, asked FROM answers WHERE who = ? AND status < 400 AND rowid < ? "
            "ORDER BY rowid DESC LIMIT 100"
        )
        while True:
            with self._lock:
                lot = self._db.execute(query, (who, last)).fetchall()
            if not lot:
                return
            last = lot[-1][0]
            yield from (zlib.decompress(asked) for _, asked in lot)

    def image(self, sha256: bytes) -> dict[str, Any] | None:
        """Return what was found out about an image."""
        with self._lock:
            row = self._db.execute("SELECT facts FROM images WHERE sha256 = ?", (sha256,)).fetchone()
        return None if row is None else json.loads(row[0])

    def take_over(self, path: Path) -> None:
        """Take all that another cache file holds; where both have an answer, the other's stands."""
        Cache(path).close()  # only a file of this version, with all its tables, is taken from
        with self._lock:
            self._db.execute("ATTACH DATABASE ? AS other", (str(path),))
            try:
                for table in ("answers", "images", "differences"):
                    self._db.execute(f"INSERT OR REPLACE INTO main.{table} SELECT * FROM other.{table}")  # noqa: S608 - our own names
            finally:
                self._db.execute("DETACH DATABASE other")

    def put_images(self, facts: Mapping[bytes, Mapping[str, Json]]) -> None:
        """Record what was found out about images, by their SHA-256."""
        rows = [(sha256, json.dumps(found)) for sha256, found in facts.items()]
        if rows:
            with self._lock:
                self._all_or_none("INSERT OR REPLACE INTO images VALUES (?, ?)", rows)

    def difference(self, version: int, pair: bytes) -> float | None:
        """Return how much two images differ, by their hashes one after the other, as this version found it."""
        query = "SELECT difference FROM differences WHERE pair = ? AND version = ?"
        with self._lock:
            row = self._db.execute(query, (pair, version)).fetchone()
        return None if row is None else float(row[0])

    def put_differences(self, version: int, found: Mapping[bytes, float]) -> None:
        """Record how much pairs of images differ."""
        rows = [(pair, version, difference) for pair, difference in found.items()]
        if rows:
            with self._lock:
                self._all_or_none("INSERT OR REPLACE INTO differences VALUES (?, ?, ?)", rows)

    def answers(self) -> Iterator[Stored]:
        """Give all stored answers, in key order; the cache must stay open and unchanged meanwhile."""
        query = (
            "SELECT key, api, status, body, sent, asked, "
            "length(key) + length(api) + length(body) + length(sent) + length(asked) FROM answers ORDER BY key"
        )
        for key, api, status, body, sent, asked, size in self._db.execute(query):
            reply = Completion(api=api, status=status, body=zlib.decompress(body), sent=tuple(sent.split()))
            yield Stored(key=key, asked=zlib.decompress(asked), completion=reply, size=size)

    def rows(self) -> Iterator[StoredRow]:
        """Give all stored answers as they lie in the file; the cache must stay open and unchanged meanwhile."""
        yield from self._db.execute("SELECT * FROM answers")

    def keys(self) -> set[bytes]:
        """Return the keys of all stored answers."""
        with self._lock:
            return {key for (key,) in self._db.execute("SELECT key FROM answers")}

    def beginning_with(self, digits: str) -> list[bytes]:
        """Return the canonical forms of the requests whose key begins with these hexadecimal digits."""
        least, most = bytes.fromhex(digits.ljust(64, "0")), bytes.fromhex(digits.ljust(64, "f"))
        with self._lock:
            rows = self._db.execute("SELECT asked FROM answers WHERE key BETWEEN ? AND ?", (least, most))
            return [zlib.decompress(asked) for (asked,) in rows]

    def count_images(self) -> int:
        """Count the images that something is known of."""
        with self._lock:
            (count,) = self._db.execute("SELECT COUNT(*) FROM images").fetchone()
        return int(count)

    def remove(self, keys: Iterable[bytes]) -> None:
        """Delete the answers with these keys, all or none, and give their room back."""
        try:
            with self._lock, self._db:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany("DELETE FROM answers WHERE key = ?", ((key,) for key in keys))
            with self._lock:
                self._db.execute("VACUUM")
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.OperationalError as exc:
            raise SetupError(f"{self.path} cannot be cleared up now: {exc}; is a build using it?") from exc

    def close(self) -> None:
        """Close the file."""
        self._db.close()


StoredRow = tuple[bytes, str, str, int, bytes, str, bytes]
"""One row of the table of answers."""


def _row(key: bytes, asked: bytes, completion: Completion, who: str) -> StoredRow:
    sent = " ".join(completion.sent)
    return key, who, completion.api, completion.status, _packed(completion.body), sent, _packed(asked)


def file_of(rows: Sequence[StoredRow]) -> bytes:
    """Return the bytes of a cache file that holds these answers."""
    with closing(sqlite3.connect(":memory:")) as db:
        for statement in (*_TABLES, _DIFFERENCES, f"PRAGMA user_version={SCHEME}"):
            db.execute(statement)
        db.executemany(_PUT, rows)
        db.commit()
        return db.serialize()


def rows_in(file: bytes) -> list[StoredRow]:
    """Return the answers in the bytes of a cache file; raises `sqlite3.DatabaseError` where they are none."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.deserialize(file)
        return db.execute("SELECT * FROM answers").fetchall()


def _packed(data: bytes) -> bytes:
    """Compress a few kilobytes: a small window costs a third of the time of zlib's usual one, and no room."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 12, 4)
    return packer.compress(data) + packer.flush()


def key_of(asked: bytes) -> bytes:
    """Return the key of a request in canonical form."""
    return hashlib.sha256(asked).digest()
