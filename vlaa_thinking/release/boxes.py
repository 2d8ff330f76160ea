"""Boxes of the release as shares of the image itself.

LLaVA's Visual Genome boxes, which the release took over by way of LLaVA-CoT, are shares of the square that an image
was padded to; of its COCO boxes its users disagree (LLaVA's issues 606 and 822). So the rows themselves are asked:
a box of the padded image never reaches into the padding, a box of the image as it is often lies where it would be.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from vlaa_thinking.checks import canonical
from vlaa_thinking.sources.boxes import reframed, to_unit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vlaa_thinking.record import Box, Record

ReleasedFrame = Literal["unit", "square"]
"""What a released box is a share of: the image's sides, or the side of the square that the image was padded to."""

Size = tuple[int, int]
"""Width and height in pixels, as displayed."""

ENOUGH = 20
"""Boxes on images that are clearly not square, from which the frame is told; with fewer, the origin's own counts."""

OBLONG = 1.1
"""From which ratio of its sides on an image is clearly not square."""

OUTSIDE = 0.05
"""Up to which share of boxes that reach into the padding they are still taken for shares of the square."""

ROUNDING = 0.015
"""Of the square's side, by which a box may reach into the padding: the released numbers have two decimals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The frame of one source's boxes, and what shows it."""

    frame: ReleasedFrame
    boxes: int
    """Boxes on images that are clearly not square."""
    outside: int
    """Those of them that would reach into the padding."""


def frame_of(samples: Iterable[tuple[Box, Size]], default: ReleasedFrame) -> Frame:
    """Tell the frame of boxes from their own numbers."""
    oblong = [_reaches_out(box, size) for box, size in samples if max(size) > OBLONG * min(size)]
    boxes, outside = len(oblong), sum(oblong)
    frame = default
    if boxes >= ENOUGH:
        frame = "square" if outside <= OUTSIDE * boxes else "unit"
    return Frame(frame=frame, boxes=boxes, outside=outside)


def has_box(record: Record) -> bool:
    """Whether a box stands in a record's right answer, or in what is published of its texts."""
    # Whatever a mentioned box is, it is written anew where its numbers are taken for pixels.
    return bool(record.gold.boxes) or any(
        reframed(text, "pixels", (7, 7)) != text for text in _texts(record).values()
    )


def in_image(record: Record, size: Size | None) -> Record | str:
    """Turn every box of a record, given as shares of the padded square; a sentence where that cannot be done."""
    if size is None:
        return "it has a box in shares of the padded square, and its image's size is not known"
    if any(_reaches_out(box, size) for box in record.gold.boxes):
        return "the box of its right answer reaches beyond the image"
    turned = {name: reframed(text, "square", size) for name, text in _texts(record).items()}
    record = replace(record, **turned)  # type: ignore[arg-type]  # texts, each in its own place
    if not record.gold.boxes:
        return record
    boxes = tuple(to_unit(box, "square", size) for box in record.gold.boxes)
    try:
        gold = canonical.canonical("", "iou", boxes=boxes)
    except ValueError as exc:
        return str(exc)
    return replace(record, gold=gold, answer_text=gold.answer)


def _texts(record: Record) -> dict[str, str]:
    """Return what is published of a record's texts, as far as it has them."""
    return {
        name: text for name in ("question", "reasoning", "answer_text") if (text := getattr(record, name))
    }


def _reaches_out(box: Box, size: Size) -> bool:
    """Whether a box, as shares of the padded square, reaches into the padding."""
    side = max(size)
    across, down = ((side - own) / 2 / side for own in size)
    left, top, right, bottom = box
    return (
        min(left - across, 1 - across - right) < -ROUNDING or min(top - down, 1 - down - bottom) < -ROUNDING
    )
