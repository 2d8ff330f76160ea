"""Answers that are carried away as they come: what a machine takes with it when it dies is a second's.

A segment is a small cache file of its own, numbered and never changed. Each worker has numbers of its own, so that two
which build the same shard, one of them given up for dead, do not get in each other's way. What a shard knows is the union
of its cache file and its segments.
"""

from __future__ import annotations

import sqlite3
import threading
import time
import uuid
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

from vlaa_thinking.cache import Cache, file_of, rows_in
from vlaa_thinking.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Container, Sequence
    from pathlib import Path

    from vlaa_thinking.cache import StoredRow
    from vlaa_thinking.llm import Completion
    from vlaa_thinking.shards.storage import Storage

MOST = 64
"""Answers that wait at most to be carried away."""

LONGEST = 0.5
"""Seconds that one waits at most; as long again may pass until it has arrived."""

PATIENCE = 60.0
"""Seconds for which storage may be out of reach before the build stops."""

LARGEST = 1000
"""Answers in one segment, where many are carried at once."""

FOLDER = "segments"


class Carrier:
    """Carries answers to storage in a thread of its own, in the order in which they came."""

    def __init__(self, storage: Storage, folder: str, *, patience: float = PATIENCE) -> None:
        """Write segments below `folder`."""
        self._storage = storage
        self._place = f"{folder}/{FOLDER}"
        self._patience = patience
        self._writer = uuid.uuid4().hex[:12]
        self._waiting: list[StoredRow] = []
        self._since = 0.0
        """When the first of them came."""
        self._wake = threading.Condition()
        self._closing = self._hurried = self._busy = False
        self._error: OutputError | None = None
        self.written: list[str] = []
        """The segments that are there."""
        self._thread = threading.Thread(target=self._work, name="carrier", daemon=True)
        self._thread.start()

    def take(self, rows: Sequence[StoredRow]) -> None:
        """Take answers that are recorded on this machine."""
        with self._wake:
            if not self._waiting:
                self._since = time.monotonic()
            self._waiting.extend(rows)
            self._wake.notify_all()

    def raise_if_lost(self) -> None:
        """Raise `OutputError` where storage has been out of reach for too long."""
        if self._error is not None:
            raise self._error

    def flush(self) -> None:
        """Wait until all that was taken is carried away, or given up."""
        with self._wake:
            self._hurried = True
            self._wake.notify_all()
            self._wake.wait_for(lambda: not self._waiting and not self._busy)
            self._hurried = False

    def close(self) -> None:
        """Carry away what is left, and end."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        self._thread.join()

    def _work(self) -> None:
        while lot := self._next():
            self._carry(lot)
            with self._wake:
                self._busy = False
                self._wake.notify_all()

    def _next(self) -> list[StoredRow]:
        """Wait for what is to be carried; nothing at the end."""
        with self._wake:
            while not self._closing and not (self._waiting and self._hurried):
                if not self._waiting:
                    self._wake.wait()
                elif len(self._waiting) < MOST and (left := self._since + LONGEST - time.monotonic()) > 0:
                    self._wake.wait(left)
                else:
                    break
            lot, self._waiting = self._waiting, []
            self._busy = bool(lot)
            return lot

    def _carry(self, lot: Sequence[StoredRow]) -> None:
        """Write a segment; storage that is out of reach is tried again, and given up after a while."""
        name = f"{self._place}/{self._writer}-{len(self.written) + 1:06d}.sqlite"
        data, pause, give_up = file_of(lot), 0.1, time.monotonic() + self._patience
        while True:
            try:
                self._storage.write(name, data)
            except OutputError as exc:
                if time.monotonic() + pause > give_up or self._error is not None:
                    self._error = OutputError(f"{exc}; every answer so far is kept on this machine")
                    return
                time.sleep(pause)
                pause = min(2 * pause, 10.0)
            else:
                self.written.append(name)
                self._error = None
                return


class CarriedCache(Cache):
    """A cache whose new answers are carried to storage, too."""

    def __init__(self, path: Path, carrier: Carrier) -> None:
        """Open the file, and carry by `carrier` what is written to it."""
        super().__init__(path)
        self.carrier = carrier

    async def record(self, key: bytes, asked: bytes, completion: Completion, *, who: str = "") -> None:
        """Do what every cache does; raises `OutputError` where storage has been out of reach for too long."""
        await super().record(key, asked, completion, who=who)
        self.carrier.raise_if_lost()

    def carry_all_but(self, known: Container[bytes]) -> None:
        """Carry what a worker that was killed here had recorded, and not yet carried; `known` are the keys in storage."""
        beyond = (row for row in self.rows() if row[0] not in known)
        while lot := list(islice(beyond, LARGEST)):
            self.carrier.take(lot)
            self.carrier.flush()

    def _write(self, rows: Sequence[StoredRow]) -> None:
        super()._write(rows)
        self.carrier.take(rows)

    def close(self) -> None:
        """Carry away what is left, and close the file."""
        self.carrier.close()
        super().close()


def take_segments(cache: Cache, storage: Storage, folder: str) -> tuple[list[str], set[bytes]]:
    """Bring what the segments of a shard hold into its cache; returns their names, and the keys of what they hold.

    One that is torn holds nothing.
    """
    names = storage.names(f"{folder}/{FOLDER}")
    keys: set[bytes] = set()
    for file in storage.read_each(names):
        try:
            rows = rows_in(file)
        except sqlite3.DatabaseError:
            continue
        cache.put_rows(rows)
        keys.update(row[0] for row in rows)
    return names, keys


def snapshot(cache: Cache, path: Path) -> None:
    """Write all that a cache holds into a file of its own, while it is in use."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(cache.path, timeout=30)) as db:
        db.execute("VACUUM INTO ?", (str(path),))
