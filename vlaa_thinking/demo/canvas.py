"""A canvas that draws larger than it shows, so that edges come out smooth; the only file that needs Pillow."""

from __future__ import annotations

import io
import zlib
from functools import cache
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence

Point = tuple[float, float]

# The shapes' colours stay apart for colour-blind readers, by hue or by lightness.
PALETTE = {
    "red": "#E4505A",
    "blue": "#2F6DB5",
    "green": "#1E8449",
    "yellow": "#EBC034",
    "purple": "#7D3C98",
    "ink": "#2B2F36",
    "muted": "#6B7280",
    "rule": "#D3D6DB",
    "white": "#FFFFFF",
}
GROUNDS = ("#F5F3EE", "#EEF2F5", "#F3F0F6", "#F0F4EC")

_SCALE = 3


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


class Canvas:
    """A picture under way.

    Coordinates are the finished image's pixels, from its top left corner; colours are names of the palette.
    """

    def __init__(self, size: tuple[int, int], *, shade: str = "") -> None:
        """Start with an even ground; which one, any text decides."""
        self.ground = GROUNDS[zlib.crc32(shade.encode()) % len(GROUNDS)]
        self._image = Image.new("RGB", (size[0] * _SCALE, size[1] * _SCALE), self.ground)
        self._pen = ImageDraw.Draw(self._image)
        self._texts: list[tuple[Point, str, int, str, str, int]] = []

    def box(self, box: Sequence[float], colour: str, *, radius: float = 0) -> None:
        """Fill a rectangle: left, top, right and bottom edge."""
        self._pen.rounded_rectangle(_inner(box), radius * _SCALE, fill=PALETTE[colour])

    def shape(self, name: str, box: Sequence[float], colour: str) -> None:
        """Fill a shape that touches all four edges of its box."""
        left, top, right, bottom = inner = _inner(box)
        middle, centre, fill = (left + right) / 2, (top + bottom) / 2, PALETTE[colour]
        if name in ("circle", "ellipse"):
            self._pen.ellipse(inner, fill=fill)
        elif name == "triangle":
            self._pen.polygon([(middle, top), (right, bottom), (left, bottom)], fill=fill)
        elif name == "diamond":
            self._pen.polygon([(middle, top), (right, centre), (middle, bottom), (left, centre)], fill=fill)
        else:
            self._pen.rectangle(inner, fill=fill)

    def line(self, start: Point, end: Point, colour: str, width: float = 1) -> None:
        """Draw a straight line."""
        ends = [(x * _SCALE, y * _SCALE) for x, y in (start, end)]
        self._pen.line(ends, fill=PALETTE[colour], width=round(width * _SCALE))

    def text(
        self,
        at: Point,
        words: str,
        *,
        size: int = 13,
        colour: str = "ink",
        anchor: str = "mm",
        halo: int = 0,
    ) -> None:
        """Write one line; `anchor` is Pillow's ("mm": the middle), a halo of some pixels keeps it clear of what lies below."""
        self._texts.append((at, words, size, PALETTE[colour], anchor, halo))

    def finish(self) -> Image.Image:
        """Scale down, then write: fonts are smoothed by themselves and sharpest at their own size."""
        image = self._image.reduce(_SCALE)
        pen = ImageDraw.Draw(image)
        for at, words, size, colour, anchor, halo in self._texts:
            if halo:
                pen.text(at, words, fill=self.ground, font=_font(size), anchor=anchor, stroke_width=halo)
            pen.text(at, words, fill=colour, font=_font(size), anchor=anchor)
        return image

    def png(self) -> bytes:
        """Return the finished picture as a PNG file."""
        file = io.BytesIO()
        self.finish().save(file, "PNG")
        return file.getvalue()


def _inner(box: Sequence[float]) -> tuple[float, float, float, float]:
    """Turn edges into the first and last pixel inside them, as Pillow fills."""
    left, top, right, bottom = (edge * _SCALE for edge in box)
    return left, top, right - 1, bottom - 1
