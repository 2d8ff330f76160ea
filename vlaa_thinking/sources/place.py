"""Where a source's files lie: a folder on disk, or a dataset repository on the Hub; readers see no difference."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from vlaa_thinking.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vlaa_thinking.sources import Source

REACH = 10.0
"""Seconds within which the Hub must answer whether it has a repository."""

BLOCK = 1 << 18
"""Bytes that are asked for at once where a file of the Hub is read here and there."""


class Place(Protocol):
    """A tree of files, named by their paths below it, with slashes."""

    @property
    def words(self) -> str:
        """What an error calls it."""
        ...

    def names(self) -> Iterator[str]:
        """Give the name of every file."""
        ...

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        ...

    def open(self, name: str) -> BinaryIO:
        """Open a file that is read here and there."""
        ...

    def stream(self, name: str) -> BinaryIO:
        """Open a file that is read once, from its beginning."""
        ...

    def size(self, name: str) -> int:
        """Return a file's length in bytes."""
        ...


class Folder:
    """A folder on disk."""

    def __init__(self, root: Path) -> None:
        """Name the folder."""
        self.root = root.resolve()

    @property
    def words(self) -> str:
        """What an error calls it."""
        return str(self.root)

    def names(self) -> Iterator[str]:
        """Give the name of every file, folder by folder in order."""
        for folder, below, files in os.walk(self.root):
            below.sort()
            for file in sorted(files):
                yield Path(folder, file).relative_to(self.root).as_posix()

    def has(self, name: str) -> bool:
        """Whether there is a file of this name inside the folder; links may not lead out of it."""
        return self.path(name) is not None

    def path(self, name: str) -> Path | None:
        """Return the file of this name, if it is one and lies inside the folder."""
        file = f"{self.root}/{name.lstrip('/')}"
        try:
            if not os.path.isfile(file):  # noqa: PTH113 - asked for every row, and most often not there
                return None
            path = Path(os.path.realpath(file))
        except (OSError, ValueError):  # no name of a file at all
            return None
        return path if path.is_relative_to(self.root) else None

    def open(self, name: str) -> BinaryIO:
        """Open a file."""
        return (self.root / name).open("rb")

    def stream(self, name: str) -> BinaryIO:
        """Open a file."""
        return self.open(name)

    def size(self, name: str) -> int:
        """Return a file's length in bytes."""
        return (self.root / name).stat().st_size


class Repository:
    """A dataset repository on the Hub, at the commit that `revision` names when it is opened."""

    def __init__(self, hf: str, revision: str | None, source: str) -> None:
        """Ask the Hub what the repository holds; raises `SetupError` if it cannot say."""
        from huggingface_hub import HfFileSystem  # noqa: PLC0415 - heavy

        info = on_the_hub(hf, revision, source)
        self.hf = hf
        self._files = {sibling.rfilename: None for sibling in info.siblings or ()}
        self._root = f"datasets/{hf}@{info.sha}" if info.sha else f"datasets/{hf}"
        self._fs: Any = HfFileSystem()

    @property
    def words(self) -> str:
        """What an error calls it."""
        return f"{self.hf} on the Hub"

    def names(self) -> Iterator[str]:
        """Give the name of every file."""
        return iter(self._files)

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""
        return name.lstrip("/") in self._files

    def open(self, name: str) -> BinaryIO:
        """Open a file that is read here and there, in blocks."""
        return cast(BinaryIO, self._fs.open(f"{self._root}/{name}", "rb", block_size=BLOCK))

    def stream(self, name: str) -> BinaryIO:
        """Open a file that is read once, from its beginning."""
        return cast(BinaryIO, self._fs.open(f"{self._root}/{name}", "rb", block_size=0))

    def size(self, name: str) -> int:
        """Return a file's length in bytes."""
        return int(self._fs.info(f"{self._root}/{name}")["size"])


def place_of(at: Source, *, path: str | None, hf: str, revision: str | None) -> Folder | Repository:
    """Open the folder `path`, below the project, if one is named; else the repository `hf`."""
    if path is None:
        return Repository(hf, revision, at.name)
    folder = at.root / path
    if not folder.is_dir():
        raise SetupError(f'source "{at.name}": there is no folder {path} in {at.root}')
    return Folder(folder)


def on_the_hub(hf: str, revision: str | None, source: str, *, timeout: float = REACH) -> Any:  # noqa: ANN401 - the Hub client's own value
    """Ask the Hub for a dataset repository; raises `SetupError`, in one sentence, if it has none or is silent."""
    from huggingface_hub import HfApi  # noqa: PLC0415 - heavy

    hub = HfApi()
    try:
        info = hub.dataset_info(hf, revision=revision, timeout=timeout)
        if info.gated:  # anybody may read that it is there
            hub.auth_check(hf, repo_type="dataset")
    except Exception as exc:
        raise unreachable(hf, source, exc) from exc
    return info


def unreachable(hf: str, source: str, error: Exception) -> SetupError:
    """Say that a set cannot be read from the Hub, and why, and what to do."""
    from huggingface_hub.errors import (  # noqa: PLC0415 - heavy
        GatedRepoError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    match error:
        case GatedRepoError():
            why = "it is gated: accept its terms there, and set HF_TOKEN"
        case RepositoryNotFoundError():
            why = "there is no such dataset, or it is private: see `hf`, or set HF_TOKEN"
        case RevisionNotFoundError():
            why = "it has no such revision: see `revision`"
        case OfflineModeIsEnabled():
            why = "HF_HUB_OFFLINE is set: unset it, or name a folder that holds the set with `path`"
        case _:
            said = " ".join(str(error).split())[:200]
            why = (
                f"{said or type(error).__name__}; try again later, or name a folder that holds it with `path`"
            )
    return SetupError(f'source "{source}": {hf} cannot be read from the Hub: {why}')


def base(name: str) -> str:
    """Return a name's last component."""
    return name.rstrip("/").rpartition("/")[2]
