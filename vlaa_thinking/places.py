"""Where a build writes: the dataset folder OUT, replaced whole or not at all, and OUT.work beside it."""

from __future__ import annotations

import fcntl
import hashlib
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

    def __init__(self, out: Path | str, *, replace: bool = False) -> None:
        """Name the places; nothing is touched before `with`."""
        self.out = Path(out).absolute()
        if not self.out.name:
            raise OutputError(f"{out} cannot be an output folder: name a folder inside it")
        self.work = self.out.with_name(self.out.name + ".work")
        self.next = self.work / "next"
        self.previous = self.work / "previous"
        self.spool = self.work / "spool.sqlite"
        self.images = self.work / "images"
        self.answers = self.work / "answers.sqlite"
        self.run = self.work / "run.json"
        self._replace = replace
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        """Take the lock, complete a swap that was cut short, and see that OUT may be replaced."""
        self._make_work()
        self._lock = (self.work / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise OutputError(
                f"another build is writing {self.out}: wait for it, or name another --out"
            ) from None
        if not self.out.exists() and (self.next / MANIFEST).is_file():
            self.next.rename(self.out)
        self._refuse_foreign(thorough=False)
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
        if old is not None and old == new and _strange_file(self.out, old, thorough=True) is None:
            shutil.rmtree(self.next)
            return False
        self._refuse_foreign(thorough=True)
        shutil.rmtree(self.previous, ignore_errors=True)
        if self.out.exists():
            self.out.rename(self.previous)
        self.next.rename(self.out)
        return True

    def _make_work(self) -> None:
        try:
            self.work.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise OutputError(f"{self.work} cannot be made: {exc.strerror}; name another --out") from exc

    def _refuse_foreign(self, *, thorough: bool) -> None:
        if self._replace or not self.out.exists():
            return
        if not self.out.is_dir():
            raise OutputError(f"{self.out} is a file: name another --out")
        manifest = _read_manifest(self.out)
        if manifest is None:
            if any(self.out.iterdir()):
                raise OutputError(
                    f"{self.out} was not made by `build` (it has no {MANIFEST} of ours): "
                    "name another --out, or allow it to be moved away with --replace"
                )
            return
        strange = _strange_file(self.out, manifest, thorough=thorough)
        if strange:
            raise OutputError(
                f"{self.out / strange} is not as `build` wrote it: move it away, name another --out, "
                "or allow the folder to be moved away with --replace"
            )


def hash_file(path: Path) -> str:
    """Return a file's SHA-256 in hex, in bounded memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
