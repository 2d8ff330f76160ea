"""The offline default's source: scenes drawn on the spot, with exact questions and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from vlaa_thinking import demo
from vlaa_thinking.sources import Rows, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vlaa_thinking.record import Row

Kind = Literal["counting", "bars", "lines", "boxes", "forms"]


def read(at: Source, *, kind: Kind, count: int) -> Iterator[Row]:
    """Draw `count` rows of one kind of scene; the same seed draws the same rows."""
    return Rows(demo.rows(kind, count=count, seed=at.seed), count)
