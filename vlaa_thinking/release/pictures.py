"""The images of the release: in folders below images/, or still in their archives.

An image is looked for at its path, then by its name alone within its source's folder: never in another's, since
numbers for names are common. Archives are read without being unpacked, and only if a row waits for one of theirs.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from vlaa_thinking.errors import SetupError
from vlaa_thinking.images import check
from vlaa_thinking.record import Fault
from vlaa_thinking.release.origins import ORIGINS, image_path
from vlaa_thinking.sources.archive import archives, opened, read_zip, tar_members, zip_members
from vlaa_thinking.sources.boxes import displayed_size
from vlaa_thinking.sources.place import Folder, base

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator
    from concurrent.futures import Executor, Future
    from pathlib import Path

    from vlaa_thinking.record import Picture
    from vlaa_thinking.release.boxes import Size
    from vlaa_thinking.sources.archive import Archive

T = TypeVar("T")
R = TypeVar("R")

MISSING = Fault(code="missing_image", reason="there is no such image below images/, nor in an archive")

AHEAD = 64
"""Images that are looked at, or wait to be, at once."""

Look = Callable[["Path | bytes"], "Picture | Fault"]
"""Checks an image, and stores it where that is wanted."""


def look_only(image: Path | bytes) -> Picture | Fault:
    """Check an image, and store nothing."""
    try:
        data = image if isinstance(image, bytes) else image.read_bytes()
    except OSError:
        return MISSING
    return check(data, hashlib.sha256(data).hexdigest())


def ahead(pool: Executor, work: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
    """Do work in a pool, a bounded stretch ahead; gives items and results in order."""
    pending: deque[tuple[T, Future[R]]] = deque()
    for item in items:
        pending.append((item, pool.submit(work, item)))
        if len(pending) > AHEAD:
            first, future = pending.popleft()
            yield first, future.result()
    while pending:
        first, future = pending.popleft()
        yield first, future.result()


class Images:
    """The images of one release, by their paths below images/."""

    def __init__(self, folder: Path, look: Look, boxed: Container[str]) -> None:
        """Take the release's folder; nothing is opened yet. Of the sources in `boxed`, sizes will be asked."""
        self._folder = folder
        self._root = folder / "images"
        self._look = look
        self._moved: dict[str, str | Fault] = {}
        """Where in its source's folder an image lies that is not at its path."""
        self._packed: dict[str, Picture | Fault] = {}
        """What archives held."""
        self._boxed = boxed
        self._sizes: dict[str, Size | None] = {}
        """Of images that archives held."""
        self._guessed: set[str] = set()
        """What was found in an archive by its name alone."""

    def find(self, path: str) -> Picture | Fault:
        """Look at an image; may be called from any thread."""
        if path in self._packed:
            return self._packed[path]
        place = self._moved.get(path, path)
        return place if isinstance(place, Fault) else self._look(self._root / place)

    def size(self, path: str) -> Size | None:
        """Return an image's width and height in pixels, as displayed; None where there is no image."""
        if path in self._packed:
            return self._sizes.get(path)
        place = self._moved.get(path, path)
        return None if isinstance(place, Fault) else displayed_size(self._root / place)

    def gather(self, wanted: Iterable[str], pool: Executor, seen: Callable[[str], None]) -> None:
        """Find out where the wanted images are; what only archives hold is read. `seen` hears of each archive."""
        missing = {path for path in wanted if not self._is_file(path)}
        self._find_moved(missing)
        missing -= self._moved.keys()
        for archive in archives(Folder(self._folder)) if missing else ():
            if missing and _may_hold(archive, missing):
                seen(archive.name)
                self._unpack(archive, missing, pool)

    def _is_file(self, path: str) -> bool:
        try:
            return (self._root / path).is_file()
        except OSError:  # too long for a name
            return False

    def _find_moved(self, missing: set[str]) -> None:
        """Find images by their names alone, within their sources' folders."""
        alone = _by_name(missing)
        for source in sorted({source for source, _ in alone}):
            for folder, _, files in os.walk(self._root / source):
                for name in files:
                    path = alone.get((source, name))
                    if path is not None:
                        place = os.path.relpath(os.path.join(folder, name), self._root)  # noqa: PTH118 - a string
                        self._moved[path] = _several(name) if path in self._moved else place

    def _unpack(self, archive: Archive, missing: set[str], pool: Executor) -> None:
        """Look at the members of an archive that rows wait for; those found at their path are taken out of `missing`."""
        alone = _by_name(missing)

        def wanted() -> Iterator[tuple[str, bytes | Fault]]:
            for member, read in self._members(archive):
                names = _names(archive, member)
                path = next((name for name in names if name in missing), None)
                if path is not None:
                    missing.discard(path)
                    self._guessed.discard(path)
                    yield path, read()
                    continue
                sources = dict.fromkeys(name.partition("/")[0] for name in names)
                path = next((alone[s, base(member)] for s in sources if (s, base(member)) in alone), None)
                if path is not None and path in missing:
                    yield path, _several(base(member)) if path in self._guessed else read()
                    self._guessed.add(path)

        for (path, _), picture in ahead(pool, self._picture, wanted()):
            self._packed[path] = picture

    def _picture(self, item: tuple[str, bytes | Fault]) -> Picture | Fault:
        path, data = item
        if path.partition("/")[0] in self._boxed:
            self._sizes[path] = displayed_size(data)
        return data if isinstance(data, Fault) else self._look(data)

    def _members(self, archive: Archive) -> Iterator[tuple[str, Callable[[], bytes | Fault]]]:
        place, words = Folder(self._folder), f"{self._folder / archive.name}"
        with opened(place, archive, once=not archive.is_zip) as stream:
            if not archive.is_zip:
                yield from tar_members(stream, words)
                return
            try:
                file = zipfile.ZipFile(stream)
            except (zipfile.BadZipFile, OSError, ValueError) as exc:
                raise SetupError(f"{words} is cut or damaged: {exc}; fetch it again") from exc
            with file:
                for info in zip_members(file):
                    yield info.filename, lambda info=info: read_zip(file, info)  # type: ignore[misc]


def _may_hold(archive: Archive, missing: set[str]) -> bool:
    """Whether an archive is worth reading: one that bears a source's name holds that source's images alone."""
    source = _stem(archive)
    return source not in ORIGINS or any(path.startswith(f"{source}/") for path in missing)


def _stem(archive: Archive) -> str:
    return base(archive.name).partition(".")[0]


def _names(archive: Archive, member: str) -> list[str]:
    """List the paths below images/ that a member may have, seen from where its archive lies and what it is called."""
    folder = archive.name.rpartition("/")[0]
    spellings = (
        member,
        f"{_stem(archive)}/{member}",
        f"{folder}/{member}",
        f"{folder}/{_stem(archive)}/{member}",
    )
    return list(dict.fromkeys(path for text in spellings if (path := image_path(text)) is not None))


def _by_name(paths: Iterable[str]) -> dict[tuple[str, str], str]:
    """Index paths by source and last component, those left out that share them with another."""
    found: dict[tuple[str, str], str | None] = {}
    for path in paths:
        key = path.partition("/")[0], base(path)
        found[key] = None if key in found else path
    return {key: path for key, path in found.items() if path is not None}


def _several(name: str) -> Fault:
    return Fault(
        code="missing_image", reason=f"several images are called {name[:80]}, and none lies at the row's path"
    )
