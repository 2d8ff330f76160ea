"""A disk that takes nothing more: full, over a quota, or broken. Nothing that was recorded before is lost by it."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vlaa_thinking.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
BROKEN = (errno.EFBIG, errno.EIO, errno.EROFS)
"""The system's words for a disk without room, and for one that takes nothing for another reason."""

SQLITE_BROKEN = (
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
)
"""SQLite's words for the latter; for the former it has but one."""


@contextmanager
def watched(work: Path, cache: Path) -> Iterator[None]:
    """Tell a fault of the disk in one sentence; `work` and `cache` are where a build writes."""
    try:
        yield
    except sqlite3.DatabaseError as exc:
        code = getattr(exc, "sqlite_errorcode", 0) & 0xFF
        if code != sqlite3.SQLITE_FULL and code not in SQLITE_BROKEN:
            raise
        full = code == sqlite3.SQLITE_FULL
        fuller = min((work, cache.parent), key=lambda place: shutil.disk_usage(place).free)
        place = f"{fuller}" if full or work == cache.parent else f"{work} or {cache}"
        raise _fault(place, str(exc), full=full) from exc
    except OSError as exc:
        if exc.errno not in NO_ROOM + BROKEN:
            raise
        raise _fault(str(exc.filename or work), os.strerror(exc.errno), full=exc.errno in NO_ROOM) from exc


def _fault(place: str, words: str, *, full: bool) -> OutputError:
    what = f"the disk of {place} is full" if full else f"{place} cannot be written or read any more ({words})"
    act = "make room there" if full else "see to its disk"
    return OutputError(f"{what}: {act}, then run the same command again; every answer so far is kept")
