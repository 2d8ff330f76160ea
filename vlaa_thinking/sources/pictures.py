"""The images of a source, by the names that its rows give: files, members of zip files, what a tar file brings."""

from __future__ import annotations

import json
import zipfile
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from vlaa_thinking.errors import SetupError
from vlaa_thinking.record import Fault
from vlaa_thinking.sources.archive import (
    MAX_IMAGE_BYTES,
    TOO_LARGE,
    archives,
    opened,
    read_zip,
    tar_members,
    zip_members,
)
from vlaa_thinking.sources.place import Folder
from vlaa_thinking.sources.scratch import Names, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

    from vlaa_thinking.sources.archive import Archive
    from vlaa_thinking.sources.place import Place

Image = Path | bytes | Fault | None
"""An image as a reader has it: a file, its bytes, why it has none, or nothing by that name."""


class Pictures:
    """The images of one place; to be used in a `with`."""

    def __init__(self, place: Place, source: str) -> None:
        """Look for nothing and open nothing before it is needed."""
        self._place = place
        self._words = f'source "{source}": '
        self._source = source
        self._stack = ExitStack()
        self._open: list[zipfile.ZipFile] = []
        self._files: Names | None = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close what was opened."""
        self._stack.close()

    def get(self, name: str) -> Image:
        """Return the image of this name: a file, or what a zip file holds; None if there is none."""
        name = name.strip().removeprefix("./")
        if self._place.has(name):
            return self._file(name.lstrip("/"))
        item = self._members.find(name, loosely=False)
        while item is None and len(self._open) < len(self._archives[0]):
            self._index(self._archives[0][len(self._open)])
            item = self._members.find(name, loosely=False)
        item = item or self._members.find(name, loosely=True)
        if item is not None:
            number, packed = json.loads(item)
            return read_zip(self._open[number], _unpacked(packed))
        file = self._named(name)
        return None if file is None else self._file(file)

    def paired(
        self,
        rows: Iterable[Mapping[str, Any]],
        column: str,
        wanted: Callable[[Mapping[str, Any]], bool] = lambda _: True,
    ) -> Iterator[tuple[Mapping[str, Any], Image]]:
        """Give each row with its image; rows whose image only a tar file can have come last, in its order.

        Rows that are not `wanted` come without their image. So ten rows cost no more of a tar file than the way to their ten images, and no disk at all.
        """
        with Waiting(self._source) as waiting:
            for row in rows:
                name = row.get(column)
                named = isinstance(name, str) and bool(name.strip()) and wanted(row)
                image = self.get(str(name)) if named else None
                if named and image is None and self._archives[1]:
                    waiting.add(str(name).strip(), row)
                else:
                    yield row, image
            for tar in self._archives[1]:
                if waiting.count:
                    yield from self._passing(tar, waiting)
            yield from ((row, None) for row in waiting.rest())

    @cached_property
    def _members(self) -> Names:
        """The members of the zip files that are open."""
        return self._stack.enter_context(Names(self._source))

    @cached_property
    def _archives(self) -> tuple[list[Archive], list[Archive]]:
        """The place's zip files, and its tar files."""
        found = archives(self._place)
        return [a for a in found if a.is_zip], [a for a in found if not a.is_zip]

    def _passing(self, tar: Archive, waiting: Waiting) -> Iterator[tuple[Mapping[str, Any], Image]]:
        """Read a tar file until no row waits any more."""
        with opened(self._place, tar, once=True) as stream:
            for member, read in tar_members(stream, f"{self._words}{tar.name}"):
                if mine := waiting.take(member):
                    image = read()
                    yield from ((row, image) for row in mine)
                elif not waiting.count:
                    return

    def _file(self, name: str) -> Image:
        if isinstance(self._place, Folder):
            return self._place.path(name)
        if self._place.size(name) > MAX_IMAGE_BYTES:
            return TOO_LARGE
        with self._place.stream(name) as stream:
            return stream.read()

    def _named(self, name: str) -> str | None:
        """Find a file by the end of its name, or its last component."""
        if self._files is None:
            self._files = self._stack.enter_context(Names(self._source))
            self._files.add((file, file) for file in self._place.names())
        return self._files.find(name, loosely=True)

    def _index(self, archive: Archive) -> None:
        """Open a zip file, and take down the names of its members."""
        number = len(self._open)
        file = self._stack.enter_context(unzipped(self._place, archive, self._words))
        self._open.append(file)
        self._members.add((info.filename, json.dumps([number, _packed(info)])) for info in zip_members(file))
        file.filelist.clear()  # the index has them: a set has up to half a million
        file.NameToInfo.clear()


@contextmanager
def unzipped(place: Place, archive: Archive, words: str) -> Iterator[zipfile.ZipFile]:
    """Open a zip file of a place; raises `SetupError` if it is none, or is cut."""
    with opened(place, archive, once=False) as stream:
        try:
            file = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, OSError, ValueError) as exc:
            raise SetupError(f"{words}{archive.name} is cut or damaged: {exc}; fetch it again") from exc
        with file:
            yield file


_FIELDS = (
    "orig_filename",
    "flag_bits",
    "compress_type",
    "CRC",
    "compress_size",
    "file_size",
    "header_offset",
)


def _packed(info: zipfile.ZipInfo) -> list[Any]:
    return [info.filename, *(getattr(info, field) for field in _FIELDS)]


def _unpacked(packed: list[Any]) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(packed[0])
    for field, value in zip(_FIELDS, packed[1:], strict=True):
        setattr(info, field, value)
    return info
