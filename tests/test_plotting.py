"""The card's plots: the manifest's numbers as pixels, the same bytes each time, legible without colour sight."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageColor

from vlaa_thinking.plotting.overview import Bar, Line, Plot, plots_of_card
from vlaa_thinking.plotting.png import COLOURS, SHEET, TRACK, WIDTH, draw

RATES = {"rows": 10, "mean": 0.5, "none_right": 2, "all_right": 3}
FIGURES = {
    "reasoning_words": {"mean": 50.0, "p10": 25, "p50": 50, "p90": 75, "most": 100},
    "teacher_pass_rate": RATES,
    "policy_pass_rate": None,
}
MANIFEST: dict[str, Any] = {
    "rows": {"in": 100, "kept": 60, "dropped": 40, "failed": 0},
    "funnel": [
        {"step": "collect", "in": 100, "out": 100, "dropped": {}, "failed": 0},
        {
            "step": "verify",
            "in": 100,
            "out": 60,
            "dropped": {"wrong_answer": 30, "not_scored": 10},
            "failed": 0,
        },
    ],
    "sources": {"shapes": {"sft": 50, "rl": 10, "rejected": 40}},
    "licenses": {"shapes": "CC0-1.0"},
    "splits": {"sft": {"train": {"rows": 50, "figures": FIGURES}}},
}


def drawn(plot: Plot, folder: Path) -> Image.Image:
    file = folder / "plots/plot.png"
    draw(plot, file)
    with Image.open(file) as image:
        assert (image.format, image.mode, image.width) == ("PNG", "RGB", WIDTH)
        assert not image.info
        return image.copy()


def runs(image: Image.Image, y: int) -> list[tuple[tuple[int, int, int], int, int]]:
    """List the stretches of one colour in a line of pixels: colour, start, width."""
    raw = image.crop((0, y, image.width, y + 1)).tobytes()
    found, x = [], 0
    for colour, pixels in itertools.groupby(zip(raw[::3], raw[1::3], raw[2::3], strict=True)):
        width = len(list(pixels))
        found.append((colour, x, width))
        x += width
    return found


def bars(image: Image.Image) -> list[dict[str, int]]:
    """Read the bars back: for each line of the plot the pixels of each colour, by its kind."""
    names = {ImageColor.getrgb(colour): kind for kind, colour in COLOURS.items() if kind != "middle"}
    names[ImageColor.getrgb(TRACK)] = "track"
    lines: list[dict[str, int]] = []
    last = -9
    for y in range(image.height):
        wide = {names[c]: w for c, _, w in runs(image, y) if c in names and w > 24}
        if sum(wide.values()) > WIDTH / 3:
            if y > last + 1:
                lines.append(wide)
            last = y
    return lines


def test_bars_are_as_long_as_the_numbers_say(tmp_path: Path) -> None:
    first, second = bars(drawn(plots_of_card(MANIFEST)["funnel"], tmp_path))
    whole = sum(first.values())
    assert len(first) == 1
    assert sum(second.values()) == pytest.approx(whole, abs=4)
    widths = sorted(second.values(), reverse=True)
    assert [w / whole for w in widths] == [pytest.approx(0.6, abs=0.01), pytest.approx(0.4, abs=0.01)]


def test_a_card_shows_what_was_measured() -> None:
    assert list(plots_of_card(MANIFEST)) == ["funnel", "sources", "lengths", "pass-rates-teacher"]
    nothing = {"rows": {}, "splits": {"sft": {"train": {"rows": 1}}}}
    assert plots_of_card(nothing) == {}


def test_the_same_numbers_are_the_same_bytes(tmp_path: Path) -> None:
    for name, plot in plots_of_card(MANIFEST).items():
        first, second = (tmp_path / folder / f"{name}.png" for folder in "ab")
        draw(plot, first)
        draw(plot, second)
        assert first.read_bytes() == second.read_bytes()


LONG = Plot(
    title="A title " * 30,
    about="What is told " * 40,
    head=("source", "sft", "rl", "rejected"),
    lines=(
        Line(
            "a_very_long_name_of_a_source_" * 9,
            (Bar("sft", 0, 100, ""),),
            ("1,234,567", "9,999,999", "·"),
            "w" * 900,
        ),
        Line(
            "漢字 العربية 🤔",
            (Bar("rl", 0, 0.001, ""),),
            ("\N{MINUS SIGN}5", "0", "1"),
            "a note of many words " * 20,
        ),
        Line("", (), ("", "", "")),
    ),
    legend=(("sft", "sft"), ("rl", "rl")),
)


@pytest.mark.parametrize("plot", [LONG, *plots_of_card(MANIFEST).values()])
def test_nothing_is_cut_or_runs_into_the_margin(plot: Plot, tmp_path: Path) -> None:
    image = drawn(plot, tmp_path)
    sheet = ImageColor.getrgb(SHEET)
    edge = 14
    for box in (
        (0, 0, edge, image.height),
        (WIDTH - edge, 0, WIDTH, image.height),
        (0, 0, WIDTH, edge),
        (0, image.height - edge, WIDTH, image.height),
    ):
        assert image.crop(box).getcolors() == [((box[2] - box[0]) * (box[3] - box[1]), sheet)]
    assert image.height < 2400


def test_labels_bars_and_figures_stand_apart(tmp_path: Path) -> None:
    """Beside each bar there is white to its left and to its right."""
    image = drawn(LONG, tmp_path)
    ends = {ImageColor.getrgb(colour) for colour in (*COLOURS.values(), TRACK)}
    for y in range(image.height):
        wide = [(x, x + w) for c, x, w in runs(image, y) if c in ends and w > 400]
        for start, end in wide:
            for x in (start - 12, end + 12):
                assert image.getpixel((x, y)) in (ImageColor.getrgb(SHEET), *ends)


BLINDNESS = {  # Machado, Oliveira and Fernandes (2009), severity 1: what is left of linear red, green and blue
    "protan": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deutan": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritan": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
    "none": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
}


def lab(rgb: tuple[float, float, float]) -> tuple[float, float, float]:
    """Turn linear sRGB into CIE L*a*b* (D65)."""
    x, y, z = (
        sum(m * c for m, c in zip(row, rgb, strict=True))
        for row in ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    )
    f = [t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x / 0.9505, y, z / 1.089)]
    return 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])


@pytest.mark.parametrize("sight", BLINDNESS)
@pytest.mark.parametrize(
    "kinds", [("sft", "rl", "rejected"), ("kept", "dropped", "failed"), ("wrong", "some", "right")]
)
def test_the_colours_of_a_plot_are_told_apart_by_all(sight: str, kinds: tuple[str, ...]) -> None:
    seen = []
    for kind in (*kinds, None):
        given = [c / 255 for c in ImageColor.getrgb(COLOURS[kind] if kind else TRACK)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in given]
        left = [sum(m * c for m, c in zip(row, linear, strict=True)) for row in BLINDNESS[sight]]
        seen.append(lab((max(left[0], 0), max(left[1], 0), max(left[2], 0))))
    apart = [
        sum((a - b) ** 2 for a, b in zip(*pair, strict=True)) ** 0.5
        for pair in itertools.combinations(seen, 2)
    ]
    assert min(apart) > 15
