"""Boxes from the frames in which sets write them to shares of the image as it is displayed.

A published box is left, top, right, bottom as shares of the displayed image's width and height: of the image turned
as its EXIF orientation says, which is what models are shown.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vlaa_thinking.checks.iou import read_boxes

if TYPE_CHECKING:
    from vlaa_thinking.record import Box, Fault

BoxFrame = Literal["unit", "square", "thousand", "pixels"]
"""Shares of the image's sides; shares of the image padded to a square; its sides as 1000; its pixels."""

_WRITTEN = re.compile(r"\[\s*\d*\.?\d+(?:\s*,\s*\d*\.?\d+){3}\s*\]")
_MOST = {"square": 1.0, "thousand": 1000.0}
"""The largest number of a box, by frame."""
_TURNED = frozenset({5, 6, 7, 8})
"""EXIF orientations by which width and height are exchanged."""


def to_unit(box: Box, frame: BoxFrame, size: tuple[int, int]) -> Box:
    """Bring a box into the unit frame of an image of `size` (width, height in pixels, as displayed).

    `square` is LLaVA's: the shorter side is padded on both ends until the image is a square, and the shares are
    of that square's side. What then lies beyond the image by rounding is cut off. Four decimals are kept.
    """
    width, height = size
    left, top, right, bottom = box
    match frame:
        case "unit":
            return box
        case "thousand":
            return _cut(left / 1000, top / 1000, right / 1000, bottom / 1000)
        case "pixels":
            return _cut(left / width, top / height, right / width, bottom / height)
        case "square":
            side = max(width, height)
            across, down = (side - width) // 2, (side - height) // 2
            return _cut(
                (left * side - across) / width,
                (top * side - down) / height,
                (right * side - across) / width,
                (bottom * side - down) / height,
            )


def reframed(text: str, frame: BoxFrame, size: tuple[int, int]) -> str:
    """Rewrite every box of a frame that a text mentions, in brackets, as one of the unit frame."""

    def rewritten(match: re.Match[str]) -> str:
        (box,) = read_boxes(match[0])
        if max(box) > _MOST.get(frame, max(size)):
            return match[0]  # four numbers, and no box of this frame
        return f"[{', '.join(map(_decimal, to_unit(box, frame, size)))}]"

    return text if frame == "unit" else _WRITTEN.sub(rewritten, text)


def displayed_size(image: Path | bytes | Fault | None) -> tuple[int, int] | None:
    """Return an image's width and height in pixels as it is displayed; None where it cannot be read."""
    from PIL import Image  # noqa: PLC0415 - heavy

    if not isinstance(image, (Path, bytes)):
        return None
    try:
        with Image.open(io.BytesIO(image) if isinstance(image, bytes) else image) as opened:
            width, height = opened.size
            turned = opened.getexif().get(0x0112) in _TURNED
    except Exception:  # noqa: BLE001 - Pillow raises many kinds; `collect` will say what is wrong with it
        return None
    return (height, width) if turned else (width, height)


def _cut(*numbers: float) -> Box:
    left, top, right, bottom = (round(min(max(number, 0.0), 1.0), 4) for number in numbers)
    return left, top, right, bottom


def _decimal(number: float) -> str:
    """Write a share with two to four decimals, as canonical boxes are written."""
    text = f"{number:.4f}".rstrip("0")
    return f"{number:.2f}" if len(text.partition(".")[2]) < 2 else text
