"""Where a build writes: the dataset folder OUT, replaced whole or not at all, and OUT.work beside it."""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from vlaa_thinking.errors import OutputError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import IO

MANIFEST = "manifest.json"
"""Written last into a dataset folder: where it is, the folder is whole."""

SMALL = 1 << 20
"""Bytes up to which a file of OUT is compared by content before a build starts, not by size alone."""


class Places:
    """OUT and OUT.work, held by one build at a time."""

    def __init__(self, out: Path | str, *, replace: bool = False, work: Path | None = None) -> None:
        """Name the places; nothing is touched before `with`.

        With a `work` folder of another name, a shard's, OUT is left alone.
        """
        self.out = Path(out).resolve()
        if not self.out.name:
            raise OutputError(f"{out} cannot be an output folder: name a folder inside it")
        self.work = work or self.out.with_name(self.out.name + ".work")
        self.next = self.work / "next"
        self.previous = self.work / "previous"
        self.spool = self.work / "spool.sqlite"
        self.images = self.work / "images"
        self.answers = self.work / "answers.sqlite"
        self.batches = self.work / "batches.sqlite"
        self.run = self.work / "run.json"
        self._replace = replace
        self._alone = work is not None
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        """See that OUT may be replaced, take the lock, and complete a swap that was cut short."""
        if not self._alone:  # first, so that a folder which is refused gets nothing beside it
            self._refuse_foreign(thorough=False)
        try:
            self.work.mkdir(parents=True, exist_ok=True)
            lock = (self.work / "lock").open("w")
        except OSError as exc:
            raise OutputError(f"{self.work} cannot be written: {exc.strerror}; name another --out") from exc
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            what = self.work if self._alone else self.out
            raise OutputError(
                f"another build is writing {what}: wait for it, or name another --out"
            ) from None
        self._lock = lock
        if not self._alone and not self.out.exists() and _is_whole(self.next):
            self.next.rename(self.out)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the lock go; a killed build's is the kernel's to let go."""
        if self._lock:
            self._lock.close()

    def put(self) -> bool:
        """Bring the finished `next` to OUT; returns False where OUT held the same bytes already."""
        old, new = _read_manifest(self.out), _read_manifest(self.next)
        if old is not None and old == new and _is_whole(self.out):
            shutil.rmtree(self.next)
            return False
        self._refuse_foreign(thorough=True)
        if self.out.exists():
            self._make_room()
            self.out.rename(self.previous)
        self.next.rename(self.out)
        return True

    def _make_room(self) -> None:
        """Take `previous` out of the way: deleted where `build` can make it again, else kept under a number."""
        if _is_whole(self.previous):
            shutil.rmtree(self.previous)
        elif self.previous.exists():
            numbered = (self.work / f"previous-{n}" for n in itertools.count(1))
            self.previous.rename(next(place for place in numbered if not place.exists()))

    def _refuse_foreign(self, *, thorough: bool) -> None:
        if self._replace or not self.out.exists():
            return
        if not self.out.is_dir():
            raise OutputError(f"{self.out} is a file: name another --out")
        manifest = _read_manifest(self.out)
        if manifest is None:
            if any(self.out.iterdir()):
                raise OutputError(
                    f"{self.out} was not made by `build` (it holds files and no {MANIFEST} of ours): "
                    f"name another --out, or let --replace move it to {self.previous}"
                )
            return
        strange = _strange_file(self.out, manifest, thorough=thorough)
        if strange:
            raise OutputError(
                f"{self.out / strange} is not as `build` wrote it: move it away, name another --out, "
                f"or let --replace move the folder to {self.previous}"
            )


def hash_file(path: Path) -> str:
    """Return a file's SHA-256 in hex, in bounded memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_whole(folder: Path) -> bool:
    """Whether a folder is just as `build` wrote it."""
    manifest = _read_manifest(folder)
    return manifest is not None and _strange_file(folder, manifest, thorough=True) is None


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    ours = isinstance(manifest, dict) and manifest.get("made_by") == "vlaa-thinking" and "files" in manifest
    return manifest if ours else None


def _strange_file(folder: Path, manifest: dict[str, Any], *, thorough: bool) -> str | None:
    known: dict[str, Any] = manifest["files"]
    here = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()} - {MANIFEST}
    for name in sorted(here - set(known)):
        return name
    for name, facts in known.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != facts["bytes"]:
            return name
        if (thorough or facts["bytes"] <= SMALL) and hash_file(path) != facts["sha256"]:
            return name
    return None
