"""Shards: a build in parts, each on a machine of its own, that `merge` brings together.

Rows go by the hash of their image, so that identical calls (one caption for many questions) fall to one shard, and stay
there when a source grows; a row without a readable image goes by the hash of its id. A shard's build reads all sources,
lets its own rows walk, and leaves a folder of answers, rows and images instead of a dataset.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vlaa_thinking.errors import SetupError

_NAMED = re.compile(r"\.shard-[0-9]+-of-[0-9]+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One part of a build's rows."""

    number: int
    """From 1 to `count`."""
    count: int
    """Into how many parts the rows are divided."""

    def __post_init__(self) -> None:
        """Refuse a part that there is not."""
        if not 1 <= self.number <= self.count:
            raise SetupError(
                f"there is no shard {self}: of {self.count} shards the first is 1, the last {self.count}"
            )

    @classmethod
    def read(cls, text: str) -> Shard:
        """Read "2/4"; raises `SetupError` for what is no shard."""
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
        if not found or not int(found[2]):
            raise SetupError(f'a shard is written as 2/4, the second of four, not as "{text}"')
        return cls(number=int(found[1]), count=int(found[2]))

    def __str__(self) -> str:
        """Write "2/4"."""
        return f"{self.number}/{self.count}"

    def holds(self, digest: bytes) -> bool:
        """Say whether what has this hash falls to this shard."""
        return int.from_bytes(digest[:8]) % self.count == self.number - 1

    @property
    def name(self) -> str:
        """What its folders are called by."""
        return f"shard-{self.number}-of-{self.count}"

    def folder(self, out: Path | str) -> Path:
        """Say where the shard of a build of `out` lies: beside it."""
        place = Path(out).resolve()
        return place.with_name(f"{place.name}.{self.name}")


def shards_beside(out: Path | str) -> list[Path]:
    """List the shard folders of a build of `out`."""
    place = Path(out).resolve()
    found = (path for path in place.parent.glob("*.shard-*-of-*") if _NAMED.sub("", path.name) == place.name)
    return sorted(found)
