"""The hashes of a dataset's rows, column by column, in a temporary file."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

DIGEST = 8
"""Bytes of a value's hash."""


def digests(row: Mapping[str, Any]) -> dict[str, bytes]:
    """Hash a row's values by column."""
    return {name: _digest(value) for name, value in row.items()}


def _digest(value: object) -> bytes:
    if value is None:
        return bytes(DIGEST)
    text = f"'{value}" if isinstance(value, str) else json.dumps(value, sort_keys=True, default=repr)
    return blake2b(text.encode(errors="surrogatepass"), digest_size=DIGEST).digest()


class Hashes:
    """Rows by their ids; an id may stand in several, and each is taken once."""

    def __init__(self) -> None:
        """Make the temporary file."""
        self._folder = tempfile.TemporaryDirectory(prefix="vlaa-thinking-diff-")
        self._db = sqlite3.connect(Path(self._folder.name) / "rows.sqlite", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute(
            "CREATE TABLE rows (id TEXT, place TEXT, columns INTEGER, digests BLOB, taken INTEGER)"
        )
        self._db.execute("BEGIN")
        self._names: list[tuple[str, ...]] = []
        self._indexed = False

    def __enter__(self) -> Self:
        """Return the empty file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Delete the file."""
        self._db.close()
        self._folder.cleanup()

    def put(self, place: str, rows: Sequence[tuple[str, Mapping[str, bytes]]]) -> None:
        """Add rows of one split."""
        self._db.executemany(
            "INSERT INTO rows VALUES (?, ?, ?, ?, 0)",
            [(row_id, place, self._number(tuple(of)), b"".join(of.values())) for row_id, of in rows],
        )

    def take(self, row_id: str, place: str) -> tuple[str, dict[str, bytes]] | None:
        """Take a row of this id, one of `place` before others; returns its split and hashes, None without one."""
        if not self._indexed:
            self._db.execute("CREATE INDEX by_id ON rows (id)")
            self._indexed = True
        found = self._db.execute(
            "SELECT rowid, place, columns, digests FROM rows WHERE id = ? AND taken = 0 "
            "ORDER BY place <> ?, rowid LIMIT 1",
            (row_id, place),
        ).fetchone()
        if found is None:
            return None
        number, was_at, columns, packed = found
        self._db.execute("UPDATE rows SET taken = 1 WHERE rowid = ?", (number,))
        names = self._names[columns]
        return was_at, {name: packed[i * DIGEST : (i + 1) * DIGEST] for i, name in enumerate(names)}

    def unseen(self) -> Iterator[tuple[str, str]]:
        """Give split and id of the rows that were not taken."""
        yield from self._db.execute("SELECT place, id FROM rows WHERE taken = 0 ORDER BY rowid")

    def _number(self, names: tuple[str, ...]) -> int:
        """Return the number of a list of columns; there are only a few such lists."""
        if names not in self._names:
            self._names.append(names)
        return self._names.index(names)
