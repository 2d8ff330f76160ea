"""Where image questions come from: a reader is a function from options to rows.

    def read(at: Source, *, path: str, limit: int = 10) -> Iterator[Row]

Its keyword-only parameters are the keys that its table in 1_collect.toml may hold; their types are checked. A
reader yields rows and never raises for one of them (what is wrong with a row is its `fault`); a wrong set-up raises
`SetupError`. The iterator may tell by `__length_hint__` about how many rows it will give. A module of readers may
say in `ABOUT` what set it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlaa_thinking.record import Row

if TYPE_CHECKING:
    from pathlib import Path

    from vlaa_thinking.record import AnswerType


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What every reader is told."""

    name: str
    """The source's name in 1_collect.toml."""
    root: Path
    """The project's folder: relative paths start here."""
    seed: int
    downloads: Path | None = None
    """Where images that rows name by their URL are kept; None: nowhere."""
    wanted: Callable[[str], bool] | None = None
    """Whether a row of this id is taken; None: all are. A reader gives every row, and may spare the image of others."""

    def wants(self, row_id: str | None) -> bool:
        """Say whether a row's image is needed; without an id of its own it is a part of its name."""
        return self.wanted is None or not row_id or self.wanted(row_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a reader's set is, as its publishers state it."""

    title: str
    hf: str
    """Where it is on the Hub, unless an option says otherwise."""
    rows: int
    """Questions, about; 0: not stated."""
    size: str
    """What of it there is to download, in words."""
    answer_types: tuple[AnswerType, ...]


Reader = Callable[..., Iterator[Row]]
"""A reader's type, but for its own keyword parameters."""


class Rows:
    """Rows with a hint of how many there are."""

    def __init__(self, rows: Iterator[Row], hint: int) -> None:
        """Give `rows`, about `hint` of them."""
        self._rows = rows
        self._hint = hint

    def __iter__(self) -> Iterator[Row]:
        """Return itself: rows are given once."""
        return self

    def __next__(self) -> Row:
        """Give the next row."""
        self._hint -= 1
        return next(self._rows)

    def __length_hint__(self) -> int:
        """Say about how many are left."""
        return max(0, self._hint)

    def close(self) -> None:
        """Let go of what is open for the rows that are left."""
        close = getattr(self._rows, "close", None)
        if close is not None:
            close()
