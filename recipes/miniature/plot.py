"""What the miniature's runs came to: `python recipes/miniature/plot.py DIR` collects DIR/seed-*/ARM/points.csv.

result.csv and result.png are written beside this file, or into `--out`; the table goes to stdout. Without DIR, the
table and the plot are made from result.csv as it is.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Points = list[dict[str, str]]
"""Lines of result.csv: the fields of run.Point."""

HERE = Path(__file__).parent
NAMES = {"grpo": "GRPO alone", "sft": "SFT alone", "sft-grpo": "SFT, then GRPO"}
COLOURS = {"grpo": "#0072B2", "sft": "#E69F00", "sft-grpo": "#009E73"}
"""Okabe and Ito's: all kinds of colour sight tell them apart."""
PAPER = {
    "base": "31.8 (table 4)",
    "grpo": "35.4 (table 4), 34.5 (figure 5)",
    "sft": "21.6 on 25K rows, 12.7 on 126K (table 2)",
    "sft-grpo": "21.0 after 5K rows, 21.8 after 10K (figure 5)",
}
"""Averages over six benchmarks, Qwen2.5-VL-3B."""
SHARES = ("accuracy", "reward", "readable", "cut")


def main(argv: Sequence[str] | None = None) -> None:
    """Collect, draw, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("place", type=Path, nargs="?", help="run.py's --place")
    parser.add_argument("--out", type=Path, default=HERE, help="a folder for result.csv and result.png")
    options = parser.parse_args(argv)
    result = options.out / "result.csv"
    if options.place:
        points = [point for file in sorted(options.place.glob("seed-*/*/points.csv")) for point in read(file)]
        with result.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, points[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(points)
    points = read(result)
    draw(points).save(options.out / "result.png")
    print(table(points))


def read(file: Path) -> Points:
    """Read the lines of a file of points."""
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def table(points: Points) -> str:
    """Write the ends of the arms as Markdown, beside the paper's: means over the seeds, and their range."""
    seeds = len({point["seed"] for point in points})
    lines = [
        f"| {seeds} seeds: mean (least to most) | right, greedily | right, drawn (reward) | readable | cut | words | cues in 100 replies | core-seconds | the paper's |",
        "|---|--:|--:|--:|--:|--:|--:|--:|---|",
        f"| best constant answer | {_mean(points, 'constant')} | | | | | | | |",
    ]
    lines.append(_line("base: can see, answers at once", _at(points, "grpo", first=True), PAPER["base"]))
    for arm, name in NAMES.items():
        last = _at(points, arm)
        if arm == "sft-grpo":
            taught = [point for point in points if point["arm"] == arm and point["stage"] == "sft"]
            step = max(int(point["step"]) for point in taught)
            lines.append(
                _line(f"SFT, {step} steps", [point for point in taught if int(point["step"]) == step], "")
            )
        lines.append(_line(f"{name}, {last[0]['step']} steps", last, PAPER[arm]))
    return "\n".join(lines)


def _line(name: str, points: Points, paper: str) -> str:
    cells = [_mean(points, share) for share in SHARES]
    cells += [
        _mean(points, "words", "{:.0f}"),
        _mean(points, "cues", "{:.0f}", 100),
        _mean(points, "seconds", "{:.0f}"),
    ]
    return f"| {name} | {' | '.join(cells)} | {paper} |"


def _at(points: Points, arm: str, *, first: bool = False) -> Points:
    """Give the arm's points at its first or last step, one a seed."""
    own = [point for point in points if point["arm"] == arm]
    step = (min if first else max)(int(point["step"]) for point in own)
    return [point for point in own if int(point["step"]) == step]


def _mean(points: Points, name: str, form: str = "{:.1%}", times: float = 1) -> str:
    values = [float(point[name]) * times for point in points]
    mean, least, most = (form.format(value) for value in (fmean(values), min(values), max(values)))
    return mean if least == most else f"{mean} ({least} to {most})"


# --- the plot ---------------------------------------------------------------------------------------------------

WIDTH, HEIGHT = 1600, 1120
PANELS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("accuracy", "right, greedily", "{:.0%}".format),
    ("reward", "right, drawn: the reward", "{:.0%}".format),
    ("words", "words of a reply", "{:.0f}".format),
    ("cues", "cues of self-reflection, to a reply", "{:.2f}".format),
)
INK, SOFT, GRID = "#1b1c1f", "#55585f", "#e4e4e4"


def draw(points: Points) -> Image.Image:
    """Draw four curves over the steps: each arm's mean over the seeds as a line, their range as a band."""
    sheet = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen = ImageDraw.Draw(sheet, "RGBA")
    seeds = len({point["seed"] for point in points})
    _write(pen, (40, 22), f"Means of {seeds} seeds, and their range; steps since the base", 32, INK)
    x = 40.0
    for arm, name in NAMES.items():
        pen.rectangle([x, 84, x + 44, 92], fill=COLOURS[arm])
        x = _write(pen, (x + 56, 70), name, 28, SOFT) + 50
    _write(pen, (x, 70), "dashed: the best constant answer", 28, SOFT)
    for place, (field, title, form) in enumerate(PANELS):
        left, top = 40 + place % 2 * 780, 130 + place // 2 * 490
        _panel(pen, (left, top, left + 740, top + 460), points, field, title, form)
    return sheet


def _panel(
    pen: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    points: Points,
    field: str,
    title: str,
    form: Callable[[float], str],
) -> None:
    _write(pen, (box[0], box[1]), title, 28, INK)
    left, top, right, low = box[0] + 80, box[1] + 56, box[2] - 20, box[3] - 50
    steps = max(int(point["step"]) for point in points)
    most = 1.0 if field in SHARES else max(0.1, *(float(point[field]) for point in points)) * 1.08

    def at(step: float, value: float) -> tuple[float, float]:
        return left + (right - left) * step / steps, low - (low - top) * value / most

    for quarter in range(5):
        y = at(0, most * quarter / 4)[1]
        pen.line([(left, y), (right, y)], fill=GRID, width=2)
        _write(pen, (left - 12, y - 14), form(most * quarter / 4), 24, SOFT, end=True)
    for step in range(0, steps + 1, 50):
        _write(pen, (at(step, 0)[0], low + 10), str(step), 24, SOFT, middle=True)
    if field in ("accuracy", "reward"):
        y = at(0, fmean(float(point["constant"]) for point in points))[1]
        for start in range(left, right, 24):
            pen.line([(start, y), (min(start + 12, right), y)], fill=SOFT, width=3)
    for arm, colour in COLOURS.items():
        values = defaultdict[int, list[float]](list)
        for point in points:
            if point["arm"] == arm:
                values[int(point["step"])].append(float(point[field]))
        known = sorted(values.items())
        upper = [at(step, max(found)) for step, found in known]
        lower = [at(step, min(found)) for step, found in known]
        pen.polygon([*upper, *reversed(lower)], fill=f"{colour}38")
        pen.line([at(step, fmean(found)) for step, found in known], fill=colour, width=5, joint="curve")


def _write(
    pen: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    size: int,
    colour: str,
    *,
    end: bool = False,
    middle: bool = False,
) -> float:
    """Write in Pillow's own font; returns where the text ends."""
    font = ImageFont.load_default(size)
    width = pen.textlength(text, font=font)
    x = place[0] - width * (1 if end else 0.5 if middle else 0)
    pen.text((x, place[1]), text, font=font, fill=colour)
    return x + width


if __name__ == "__main__":
    main()
