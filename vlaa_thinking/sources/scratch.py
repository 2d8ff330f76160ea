"""What a large set asks one to remember, kept in temporary SQLite files: names, rows that wait, texts by key.

They lie on disk once they are large, and vanish when they are closed; nothing is left behind by a killed build.
"""

from __future__ import annotations

import json
import posixpath
import sqlite3
from typing import TYPE_CHECKING, Any, Self

from vlaa_thinking.errors import SetupError
from vlaa_thinking.sources.place import base

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType


class _Scratch:
    """A temporary database."""

    def __init__(self, *statements: str) -> None:
        self._db = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        for statement in ("PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF", *statements, "BEGIN"):
            self._db.execute(statement)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let it vanish."""
        self._db.close()


def tail(one: str, other: str) -> bool:
    """Whether one path ends with the other, by whole components; a last component alone says too little."""
    shorter, longer = sorted((one, other), key=len)
    return one == other or ("/" in shorter and longer.endswith(f"/{shorter}"))


class Names(_Scratch):
    """Names with slashes, each with what is to be found under it."""

    def __init__(self, source: str) -> None:
        """Know no name yet; `source` is for errors."""
        super().__init__("CREATE TABLE names (base TEXT, name TEXT, item TEXT)")
        self._source = source
        self._indexed = False

    def add(self, items: Iterable[tuple[str, str]]) -> None:
        """Add names with their items."""
        self._db.executemany("INSERT INTO names VALUES (?,?,?)", ((base(n), n, item) for n, item in items))
        if not self._indexed:
            self._db.execute("CREATE INDEX by_base ON names (base)")
            self._indexed = True

    def find(self, wanted: str, *, loosely: bool) -> str | None:
        """Return the item of the name that ends as `wanted` does, or the other way round.

        `loosely`, the last component is enough. Raises `SetupError` where several names fit equally well.
        """
        wanted = wanted.replace("\\", "/").lstrip("/")
        rows: list[tuple[str, str]] = self._db.execute(
            "SELECT name, item FROM names WHERE base=?", (base(wanted),)
        ).fetchall()
        ways: list[Callable[[str], bool]] = [lambda name: name == wanted, lambda name: tail(name, wanted)]
        if loosely:
            ways.append(lambda _: True)
        for fits in ways:
            if found := [row for row in rows if fits(row[0])]:
                return self._only(found)
        return None

    def _only(self, found: list[tuple[str, str]]) -> str:
        if len(found) > 1:
            places = ", ".join(sorted(name for name, _ in found)[:2])
            raise SetupError(
                f'source "{self._source}": the image {base(found[0][0])} lies in several folders ({places}); '
                "write its path below image_root into the table"
            )
        return found[0][1]


class Waiting(_Scratch):
    """Rows that wait for their image to come by."""

    def __init__(self, source: str) -> None:
        """Hold no row yet; `source` is for errors."""
        super().__init__(
            "CREATE TABLE rows (base TEXT, name TEXT, row TEXT)",
            "CREATE TABLE given (base TEXT PRIMARY KEY, member TEXT) WITHOUT ROWID",
        )
        self._source = source
        self._indexed = False
        self.count = 0

    def add(self, name: str, row: Mapping[str, Any]) -> None:
        """Let a row wait for the image `name`."""
        self._db.execute("INSERT INTO rows VALUES (?,?,?)", (base(name), name.lstrip("/"), json.dumps(row)))
        self.count += 1

    def take(self, member: str) -> list[Mapping[str, Any]]:
        """Take the rows of an image that has come: those whose name it ends with.

        Where all rows with its last component give one and the same name, that component is enough.
        """
        if not self._indexed:
            self._db.execute("CREATE INDEX by_base ON rows (base)")
            self._indexed = True
        member = posixpath.normpath(member)
        found = self._db.execute(
            "SELECT rowid, name, row FROM rows WHERE base=? ORDER BY rowid", (base(member),)
        ).fetchall()
        mine = [row for row in found if tail(row[1], member)]
        if not mine and len({name for _, name, _ in found}) == 1:
            mine = found
            self._db.execute("INSERT INTO given VALUES (?,?)", (base(member), member))
        elif not found:
            self._refuse_second(member)
        self._db.executemany("DELETE FROM rows WHERE rowid=?", [(row[0],) for row in mine])
        self.count -= len(mine)
        return [json.loads(row[2]) for row in mine]

    def rest(self) -> Iterator[Mapping[str, Any]]:
        """Give the rows whose image did not come."""
        for (row,) in self._db.execute("SELECT row FROM rows ORDER BY rowid"):
            yield json.loads(row)

    def _refuse_second(self, member: str) -> None:
        """Refuse an image whose last component alone has already been taken for another."""
        first = self._db.execute("SELECT member FROM given WHERE base=?", (base(member),)).fetchone()
        if first:
            raise SetupError(
                f'source "{self._source}": the image {base(member)} lies in several folders of the archive '
                f"({first[0]}, {member}), and its row does not say in which"
            )


class Texts(_Scratch):
    """Texts by key, read from a long file only as far as they are asked for."""

    def __init__(self, pairs: Iterator[tuple[str, str]]) -> None:
        """Take pairs of key and text as they come; of several with one key, the first counts."""
        super().__init__("CREATE TABLE texts (key TEXT PRIMARY KEY, text TEXT) WITHOUT ROWID")
        self._pairs = pairs

    def find(self, key: str) -> str | None:
        """Return the text of a key; None if no pair has it."""
        found = self._db.execute("SELECT text FROM texts WHERE key=?", (key,)).fetchone()
        if found is not None:
            return str(found[0])
        for other, text in self._pairs:
            self._db.execute("INSERT OR IGNORE INTO texts VALUES (?,?)", (other, text))
            if other == key:
                return text
        return None
