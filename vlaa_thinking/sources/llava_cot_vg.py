"""LLaVA-CoT on Visual Genome: regions that a sentence describes, asked for as boxes. See `llava_cot` for what was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlaa_thinking.sources import About, Source, llava_cot
from vlaa_thinking.sources.boxes import BoxFrame  # noqa: TC001 - `collect` evaluates annotations
from vlaa_thinking.sources.llava_cot import Turns  # noqa: TC001 - as above
from vlaa_thinking.sources.native import Where

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vlaa_thinking.record import Row

ABOUT = About(
    title="LLaVA-CoT (Visual Genome)",
    hf=llava_cot.HF,
    rows=llava_cot.ROWS,
    size=llava_cot.SIZE,
    answer_types=("iou",),
)


def read(
    at: Source,
    *,
    path: str | None = None,
    hf: str = ABOUT.hf,
    revision: str | None = None,
    conversations: int | None = None,
    turns: Turns = "boxes",
    boxes_in: BoxFrame = "square",
) -> Iterator[Row]:
    """Read the turns of at most `conversations` rows; `boxes_in` is the frame in which the set writes boxes."""
    where = Where(path=path, hf=hf, revision=revision)
    return llava_cot.rows(at, where, folder="vg", boxes_in=boxes_in, conversations=conversations, which=turns)
