"""Plots drawn as PNG with Pillow: the same bytes for the same numbers.

A plotting library would take longer to load than a demo to build, and its bytes differ from one installation's fonts
to another's. The colours are those of Okabe and Ito (Color Universal Design, 2008), which all kinds of colour sight
tell apart; white lines part them, and every number stands beside its bar.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

    from vlaa_thinking.plotting.overview import Line, Plot

WIDTH = 1600
"""Pixels: twice what a card shows, for sharp screens."""

COLOURS = {
    "sft": "#0072B2", "rl": "#E69F00", "rejected": "#999999",
    "kept": "#0072B2", "dropped": "#D55E00", "failed": "#000000",
    "wrong": "#D55E00", "some": "#F0E442", "right": "#009E73",
    "middle": "#000000",
}  # fmt: skip
"""By the kinds of `overview.Bar`."""

INK, SOFT, TRACK, SHEET = "#1b1c1f", "#55585f", "#efefef", "#ffffff"

MARGIN, GAP = 28, 36
TITLE, TEXT, NOTE = 42, 31, 28
"""Sizes of letters in pixels."""

LABEL_WIDTH = 440
"""The most that a label may take; a longer one is cut."""

BAR = 36
LINE = 66
"""The heights of a bar, and of a line without a note."""


def draw(plot: Plot, file: Path) -> None:
    """Write a plot into a PNG file."""
    from PIL import Image, ImageDraw  # noqa: PLC0415 - heavy

    sheet = Image.new("RGB", (WIDTH, 1), SHEET)
    layout = _Layout(plot, ImageDraw.Draw(sheet))
    sheet = Image.new("RGB", (WIDTH, layout.height), SHEET)
    layout.draw(ImageDraw.Draw(sheet))
    file.parent.mkdir(exist_ok=True)
    sheet.save(file, format="PNG", compress_level=6)


class _Layout:
    """Where everything stands: labels, bars, figures from left to right, a plot's lines from top to bottom."""

    def __init__(self, plot: Plot, pen: ImageDraw) -> None:
        self._plot = plot
        labels = [plot.head[0], *(line.label for line in plot.lines)]
        label = min(LABEL_WIDTH, max(_width(pen, text, TEXT) for text in labels))
        self._left = MARGIN + label + GAP
        self._ends = list(self._figure_ends(pen))
        first = self._ends[0] - self._widths[0] if self._ends else WIDTH - MARGIN
        self._right = first - GAP
        self._label = label
        self._about = _wrapped(pen, plot.about, NOTE, WIDTH - 2 * MARGIN)
        self._notes = [_wrapped(pen, line.note, NOTE, WIDTH - MARGIN - self._left) for line in plot.lines]
        self._top = MARGIN + TITLE + 20 + len(self._about) * (NOTE + 8) + 28
        lines = sum(LINE + len(notes) * (NOTE + 8) for notes in self._notes)
        legend = NOTE + 44 if plot.legend else 0
        self.height = round(self._top + TEXT + 24 + lines + legend + MARGIN - 20)

    def _figure_ends(self, pen: ImageDraw) -> Iterator[float]:
        """Give the right ends of the columns of figures."""
        columns = list(zip(self._plot.head[1:], *(line.figures for line in self._plot.lines), strict=True))
        self._widths = [max(_width(pen, text, TEXT) for text in column) for column in columns]
        end = WIDTH - MARGIN - sum(self._widths[1:]) - GAP * max(0, len(columns) - 1)
        for place, _ in enumerate(columns):
            yield end
            end += GAP + (self._widths[place + 1] if place + 1 < len(columns) else 0)

    def draw(self, pen: ImageDraw) -> None:
        """Draw it all."""
        title = _cut(pen, self._plot.title, TITLE, WIDTH - 2 * MARGIN)
        _write(pen, (MARGIN, MARGIN - 8), title, TITLE, INK)
        y = float(MARGIN + TITLE + 14)
        for text in self._about:
            _write(pen, (MARGIN, y), text, NOTE, SOFT)
            y += NOTE + 8
        y = self._top
        self._row(pen, y, self._plot.head[0], self._plot.head[1:], SOFT)
        y += TEXT + 16
        pen.line([(MARGIN, y), (WIDTH - MARGIN, y)], fill="#c9c9c9", width=2)
        y += 8
        for line, notes in zip(self._plot.lines, self._notes, strict=True):
            self._line(pen, y, line)
            y += LINE
            for text in notes:
                _write(pen, (self._left, y - 6), text, NOTE, SOFT)
                y += NOTE + 8
        self._legend(pen, y + 20)

    def _row(self, pen: ImageDraw, y: float, label: str, figures: Sequence[str], colour: str) -> None:
        _write(pen, (MARGIN, y), _cut(pen, label, TEXT, self._label), TEXT, colour)
        for text, end in zip(figures, self._ends, strict=True):
            _write(pen, (end - _width(pen, text, TEXT), y), text, TEXT, colour)

    def _line(self, pen: ImageDraw, y: float, line: Line) -> None:
        top = y + (LINE - BAR) / 2
        self._row(pen, y + (LINE - TEXT) / 2 - 4, line.label, line.figures, INK)
        pen.rectangle([self._left, top, self._right, top + BAR], fill=TRACK)
        for bar in line.bars:
            start = self._x(bar.start)
            end = max(start + 3, self._x(bar.start + bar.width))
            over = 5 if bar.kind == "middle" else 0
            pen.rectangle([start, top - over, end, top + BAR + over], fill=COLOURS[bar.kind])
            if bar.start and not over:
                pen.line([(start, top), (start, top + BAR)], fill=SHEET, width=2)

    def _x(self, percent: float) -> float:
        return round(self._left + (self._right - self._left) * min(percent, 100.0) / 100)

    def _legend(self, pen: ImageDraw, y: float) -> None:
        x = self._left
        for kind, name in self._plot.legend:
            pen.rectangle([x, y + 3, x + 24, y + 27], fill=COLOURS[kind])
            _write(pen, (x + 36, y), name, NOTE, SOFT)
            x += 36 + _width(pen, name, NOTE) + 44


def _write(pen: ImageDraw, place: tuple[float, float], text: str, size: int, colour: str) -> None:
    pen.text(place, _drawable(text, size), font=_font(size), fill=colour)


def _width(pen: ImageDraw, text: str, size: int) -> float:
    return pen.textlength(_drawable(text, size), font=_font(size))


def _cut(pen: ImageDraw, text: str, size: int, most: float) -> str:
    """Shorten a text that is wider than `most` pixels."""
    if _width(pen, text, size) <= most:
        return text
    while text and _width(pen, f"{text} ...", size) > most:
        text = text[:-1]
    return f"{text.rstrip()} ..."


def _wrapped(pen: ImageDraw, text: str, size: int, most: float) -> list[str]:
    """Break a text into lines of up to `most` pixels, between words."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and _width(pen, joined, size) <= most:
            lines[-1] = joined
        else:
            lines.append(_cut(pen, word, size, most))
    return lines


@cache
def _font(size: int) -> FreeTypeFont | ImageFont:
    """Return Pillow's own font, which is the same wherever Pillow is."""
    from PIL import ImageFont  # noqa: PLC0415 - heavy

    return ImageFont.load_default(size)


def _drawable(text: str, size: int) -> str:
    """Put a question mark where the font has no such letter, and a blank for a line's end."""
    plain = " ".join(text.split()).replace("\N{MINUS SIGN}", "-")
    return "".join(letter if _has(letter, size) else "?" for letter in plain)


@cache
def _has(letter: str, size: int) -> bool:
    return letter == " " or _shape(letter, size) != _shape("\uffff", size)


def _shape(letter: str, size: int) -> bytes:
    from PIL import Image, ImageDraw  # noqa: PLC0415 - heavy

    sheet = Image.new("L", (2 * size, 2 * size))
    ImageDraw.Draw(sheet).text((size // 2, size // 4), letter, font=_font(size), fill=255)
    return sheet.tobytes()
