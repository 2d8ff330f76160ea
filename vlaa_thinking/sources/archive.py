"""Archives that are read without being unpacked: zip files here and there, tar files from end to end.

Nothing is ever written under a member's name, so no member can leave its folder; those that would (absolute paths,
"..", links, devices) are passed over all the same. A member is read up to `MAX_IMAGE_BYTES` and never beyond.
"""

from __future__ import annotations

import io
import lzma
import re
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from stat import S_IFMT, S_ISDIR, S_ISREG
from typing import TYPE_CHECKING, BinaryIO, cast

from vlaa_thinking.errors import SetupError
from vlaa_thinking.record import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vlaa_thinking.sources.place import Place

MAX_IMAGE_BYTES = 64 << 20
"""A longer image file is not read: its row is dropped."""

TOO_LARGE = Fault(
    code="image_too_large",
    reason=f"the image file is longer than {MAX_IMAGE_BYTES >> 20} MiB, so it was not read",
)

_ZIP = (".zip",)
_TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_PART = re.compile(r"(?P<whole>.+(?:\.zip|\.tar(?:\.\w+)?|\.tgz))\.(?:part[-_.]?\w+|\d{2,3})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive, whole or in parts."""

    name: str
    """Of the whole, below its place."""
    parts: tuple[str, ...]
    """The files that make it up, in order."""

    @property
    def is_zip(self) -> bool:
        """Whether its members can be read in any order."""
        return self.name.lower().endswith(_ZIP)


def archives(place: Place) -> list[Archive]:
    """List the archives of a place in order of name; split ones (`images.zip.part-aa` ...) as one."""
    found: dict[str, list[str]] = {}
    for name in place.names():
        part = _PART.fullmatch(name)
        whole = part["whole"] if part else name
        if whole.lower().endswith((*_ZIP, *_TAR)):
            found.setdefault(whole, []).append(name)
    return [Archive(whole, tuple(sorted(parts))) for whole, parts in sorted(found.items())]


class Joined(io.RawIOBase):
    """Files one after the other, read as if they were one."""

    def __init__(self, parts: Sequence[tuple[int, Callable[[], BinaryIO]]]) -> None:
        """Join files, each given by its length and a way to open it; they are opened when they are read."""
        self._parts = parts
        self._open: dict[int, BinaryIO] = {}
        self._at = 0
        self._length = sum(size for size, _ in parts)

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def tell(self) -> int:
        """Return the place where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # any writable buffer
        """Fill a buffer as far as the part goes that holds the next byte."""
        start = 0
        for number, (size, opened) in enumerate(self._parts):
            if start <= self._at < start + size:
                if number not in self._open:
                    self._open[number] = opened()
                file = self._open[number]
                if file.tell() != self._at - start:
                    file.seek(self._at - start)
                data = file.read(min(len(buffer), start + size - self._at))
                buffer[: len(data)] = data
                self._at += len(data)
                return len(data)
            start += size
        return 0

    def close(self) -> None:
        """Close every part."""
        for file in self._open.values():
            file.close()
        super().close()


def opened(place: Place, archive: Archive, *, once: bool) -> BinaryIO:
    """Open an archive's bytes, to be read `once` from their beginning, or here and there."""
    way = place.stream if once else place.open
    if archive.parts == (archive.name,):
        return way(archive.name)
    parts = [(place.size(part), partial(way, part)) for part in archive.parts]
    return cast(BinaryIO, io.BufferedReader(Joined(parts), 1 << 16))


def is_safe(name: str) -> bool:
    """Whether a member's name stays below the folder that it would be unpacked into."""
    path = PurePosixPath(name.replace("\\", "/"))
    return not (path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name) or "\0" in name)


def zip_members(file: zipfile.ZipFile) -> Iterator[zipfile.ZipInfo]:
    """Give the members of a zip file that are plain files and stay below their folder."""
    for info in file.infolist():
        kind = S_IFMT(info.external_attr >> 16)
        if info.is_dir() or S_ISDIR(kind) or (kind and not S_ISREG(kind)) or info.flag_bits & 1:
            continue  # a folder, a link, a device, or encrypted
        if is_safe(info.filename):
            yield info


def read_zip(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes | Fault:
    """Read a member of a zip file."""
    if info.file_size > MAX_IMAGE_BYTES:
        return TOO_LARGE
    try:
        with file.open(info) as member:
            return _bounded(member.read(MAX_IMAGE_BYTES + 1))
    except (*_DAMAGE, zipfile.BadZipFile, NotImplementedError, RuntimeError) as exc:
        return Fault(code="broken_image", reason=f"the image cannot be read from its archive: {exc}")


def tar_members(stream: BinaryIO, words: str) -> Iterator[tuple[str, Callable[[], bytes | Fault]]]:
    """Go through a tar file once; gives each plain file's name, and a way to read it before the next is taken.

    Raises `SetupError` where the archive is cut or damaged: its other members cannot be reached.
    """
    with _whole(words), tarfile.open(fileobj=stream, mode="r|*") as archive:
        for member in archive:
            archive.members = []  # type: ignore[attr-defined]  # else it keeps every header it has seen
            if member.isreg() and is_safe(member.name):
                yield member.name, partial(_read_tar, archive, member, words)


def _read_tar(archive: tarfile.TarFile, member: tarfile.TarInfo, words: str) -> bytes | Fault:
    with _whole(words):
        file = archive.extractfile(member)
        if file is None or member.size > MAX_IMAGE_BYTES:
            return TOO_LARGE
        with file:
            return _bounded(file.read(MAX_IMAGE_BYTES + 1))


_DAMAGE = (tarfile.TarError, EOFError, OSError, ValueError, zlib.error, lzma.LZMAError)


@contextmanager
def _whole(words: str) -> Iterator[None]:
    """Turn what an archive is found to lack into one sentence."""
    try:
        yield
    except _DAMAGE as exc:
        raise SetupError(f"{words} is cut or damaged: {exc}; fetch it again") from exc


def _bounded(data: bytes) -> bytes | Fault:
    return TOO_LARGE if len(data) > MAX_IMAGE_BYTES else data
