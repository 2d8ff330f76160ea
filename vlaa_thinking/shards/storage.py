"""Storage that outlives a machine: a folder on shared disks, or any URL that fsspec reads (s3://bucket/run).

A file is there whole or not at all: where files can be renamed it is written under a temporary name first, and an object
store takes an object whole.
"""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from vlaa_thinking.errors import OutputError, SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss", "hf", "memory"}
"""fsspec's names of stores that know no rename, and show an object when all of it is there."""

AT_ONCE = 16
"""Files that are sent or fetched at once."""

_PART = ".part"


class Storage:
    """A tree of files, named by their paths below it, with slashes."""

    def __init__(self, url: str) -> None:
        """Name the place; raises `SetupError` for an address that fsspec cannot read."""
        from fsspec.core import url_to_fs  # noqa: PLC0415 - heavy

        self.words = _without_secrets(url)
        try:
            self._fs, root = url_to_fs(url)
        except ImportError as exc:
            raise SetupError(f"{self.words} needs a package more: {exc}") from None
        except ValueError as exc:
            raise SetupError(f"{self.words} is no place that fsspec knows: {exc}") from None
        self._root = str(root).rstrip("/")
        protocols = {self._fs.protocol} if isinstance(self._fs.protocol, str) else set(self._fs.protocol)
        self._renames = not protocols & OBJECT_STORES

    def names(self, below: str = "") -> list[str]:
        """List the files below a folder of it, sorted."""
        with self._told("read"):
            self._fs.invalidate_cache()
            try:
                found = self._fs.find(f"{self._root}/{below}".rstrip("/"))
            except FileNotFoundError:
                return []
        names = (str(path)[len(self._root) :].lstrip("/") for path in found)
        return sorted(name for name in names if not name.endswith(_PART))

    def folders(self) -> list[str]:
        """List the folders that lie in it, sorted."""
        with self._told("read"):
            self._fs.invalidate_cache()
            try:
                found = self._fs.ls(self._root, detail=False)
            except FileNotFoundError:
                return []
        return sorted(str(path).rstrip("/").rpartition("/")[2] for path in found)

    def has(self, name: str) -> bool:
        """Say whether there is a file of this name."""
        with self._told("read"):
            self._fs.invalidate_cache()
            return bool(self._fs.exists(f"{self._root}/{name}"))

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        with self._told("read"):
            data: bytes = self._fs.cat_file(f"{self._root}/{name}")
        return data

    def read_each(self, names: Iterable[str]) -> Iterator[bytes]:
        """Give the bytes of files in their order, many read at once; one that is gone meanwhile is passed over."""

        def one(name: str) -> bytes | None:
            try:
                return self.read(name)
            except FileNotFoundError:
                return None

        names = iter(names)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while lot := list(islice(names, 4 * AT_ONCE)):
                yield from (data for data in pool.map(one, lot) if data is not None)

    def write(self, name: str, data: bytes) -> None:
        """Write a file."""
        self._whole(name, lambda path: self._fs.pipe_file(path, data))

    def send(self, files: Iterable[tuple[Path, str]]) -> None:
        """Write files of this machine, many at once, each under a name."""
        self._each(
            lambda pair: self._whole(pair[1], lambda path: self._fs.put_file(str(pair[0]), path)), files
        )

    def fetch(self, files: Iterable[tuple[str, Path]]) -> None:
        """Bring files to this machine, many at once."""

        def one(pair: tuple[str, Path]) -> None:
            name, path = pair
            part = path.with_name(f"{path.name}{_PART}")
            path.parent.mkdir(parents=True, exist_ok=True)
            with self._told("read"):
                self._fs.get_file(f"{self._root}/{name}", str(part))
            part.replace(path)

        self._each(one, files)

    def remove(self, names: Iterable[str]) -> None:
        """Delete files; one that is not there is none the less gone."""

        def one(name: str) -> None:
            with self._told("written"):
                try:
                    self._fs.rm_file(f"{self._root}/{name}")
                except FileNotFoundError:
                    return

        self._each(one, names)

    def _whole(self, name: str, write: Callable[[str], Any]) -> None:
        path = f"{self._root}/{name}"
        with self._told("written"):
            if not self._renames:
                write(path)
                return
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            part = f"{path}.{uuid.uuid4().hex}{_PART}"
            write(part)
            self._fs.mv(part, path)

    def _each(self, do: Callable[[Any], None], things: Iterable[Any]) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(do, things):
                pass

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Tell in one sentence what goes wrong; each kind of storage raises errors of its own."""
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as exc:
            words = " ".join(str(exc).split())[:300]
            raise OutputError(f"{self.words} cannot be {what}: {type(exc).__name__}: {words}") from exc


def _without_secrets(url: str) -> str:
    if "://" not in url:
        return url
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
