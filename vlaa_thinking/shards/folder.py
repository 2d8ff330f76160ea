"""A shard's folder: what its build leaves in it, and whether several are parts of one build."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vlaa_thinking
from vlaa_thinking.errors import OutputError, SetupError
from vlaa_thinking.places import Places
from vlaa_thinking.shards import Shard
from vlaa_thinking.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vlaa_thinking.setup import Setup
    from vlaa_thinking.steps.collect import Collection

_SAME = ("version", "profile", "preset", "seed", "limit", "players")
"""What all shards of one build have in common, beside the project's files."""


def begin(setup: Setup) -> None:
    """Make a shard's folder one that is not finished; raises `SetupError` for a model whose answers are not stored."""
    for role, player in setup.context.players.items():
        if player.address is None:
            raise SetupError(
                f'a shard hands on stored answers, and those of your own model "{player.name}" ({role}) are not '
                "stored: give it an `identity`"
            )
    setup.places.run.unlink(missing_ok=True)


def noted(setup: Setup, collection: Collection) -> dict[str, Any]:
    """Say in a finished shard's run.json what `merge` needs to know."""
    return {
        "shard": str(setup.run.shard),
        "version": vlaa_thinking.__version__,
        "files": setup.settings.hashes,
        "limit": setup.limit,
        "not_taken": collection.not_taken,
        "read": collection.read,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardFolder:
    """The folder of a finished shard."""

    shard: Shard
    places: Places
    note: Mapping[str, Any]
    """Its run.json."""

    @classmethod
    def open(cls, path: Path | str) -> ShardFolder:
        """Read what a shard's build noted; raises `OutputError` where the folder is none, or not finished."""
        folder = Path(path).resolve()
        places = Places(folder, work=folder)
        if not folder.is_dir():
            raise OutputError(f"there is no shard's folder {folder}")
        try:
            note = json.loads(places.run.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise OutputError(
                f"{folder} is no finished shard: run its `vlaa-thinking build --shard` to its end first"
            ) from None
        if "shard" not in note:
            raise OutputError(f"{folder} is no shard's folder: `vlaa-thinking build --shard 1/4` makes one")
        return cls(shard=Shard.read(note["shard"]), places=places, note=note)

    @property
    def answers(self) -> Path:
        """Where its answers lie: in the folder, or in the cache that its build was given."""
        noted = Path(self.note["cache"])
        path = noted if noted.is_file() else self.places.answers
        if not path.is_file():
            raise OutputError(
                f"the answers of shard {self.shard} are not in {noted}: put that file into {self.places.work} as "
                f"{self.places.answers.name}"
            )
        return path

    def spool(self) -> Spool:
        """Open its rows; raises `OutputError` where they are not those that its build noted."""
        again = f"run `vlaa-thinking build --shard {self.shard}` again"
        if not self.places.spool.is_file():
            raise OutputError(f"{self.places.work} does not hold the rows of shard {self.shard}: {again}")
        spool = Spool(self.places.spool, fresh=False)
        try:
            whole = spool.size() == self.note["rows"]
        except sqlite3.DatabaseError:
            whole = False
        if not whole:
            spool.close()
            raise OutputError(f"{self.places.spool} is not as shard {self.shard} left it: {again}")
        return spool

    def rows(self) -> int:
        """Count its rows, and see that they are whole."""
        with closing(self.spool()) as spool:
            return spool.size()


def see_one_build(found: Sequence[ShardFolder]) -> None:
    """See that folders are all the shards of one build, each once; raises `SetupError` saying what is wrong."""
    if not found:
        raise SetupError("no shard's folder is named, and none lies beside OUT")
    first = found[0]
    seen: dict[int, ShardFolder] = {}
    for folder in found:
        if folder.shard.count != first.shard.count:
            raise SetupError(
                f"{first.places.work} is shard {first.shard} and {folder.places.work} is shard {folder.shard}: "
                "name the shards of one division"
            )
        other = seen.setdefault(folder.shard.number, folder)
        if other is not folder:
            raise SetupError(
                f"{other.places.work} and {folder.places.work} are both shard {folder.shard}: name one of them"
            )
        difference = _difference(first.note, folder.note)
        if difference:
            raise SetupError(
                f"shards {first.shard} and {folder.shard} are not of one build: {difference}; build one of them again"
            )
    missing = [
        Shard(number=n, count=first.shard.count) for n in range(1, first.shard.count + 1) if n not in seen
    ]
    if missing:
        names = ", ".join(map(str, missing))
        raise SetupError(
            f"{len(missing)} of {first.shard.count} shards are missing ({names}): build them, or name their folders"
        )


def _difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """Say in what two notes tell of different builds."""
    files, theirs = one["files"], other["files"]
    changed = [name for name in sorted({*files, *theirs}) if files.get(name) != theirs.get(name)]
    if changed:
        return f"their projects differ in {', '.join(changed)}"
    for name in _SAME:
        if one[name] != other[name]:
            if name == "players":
                return "their models differ"
            return f"the {name} is {_said(one[name])} in one and {_said(other[name])} in the other"
    if one["read"] != other["read"] or one["not_taken"] != other["not_taken"]:
        return "they read different rows, as a source changed in between or an image was out of reach"
    return None


def _said(value: object) -> str:
    return "none" if value is None else str(value)
