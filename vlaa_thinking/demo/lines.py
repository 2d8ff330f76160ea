r"""Lines: a straight line through two marked points of a grid, and what follows from them (math)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from vlaa_thinking.demo.kind import COLOURS, Ask, Solution, pick

if TYPE_CHECKING:
    from random import Random

    from vlaa_thinking.demo.canvas import Canvas
    from vlaa_thinking.record import AnswerType

ANSWER_TYPE: AnswerType = "math"
SIZE: tuple[int, int] = (480, 320)

_UNIT = 20  # pixels
_ACROSS, _UP = 11, 7
_LETTERS = ("AB", "CD", "EF", "MN", "PQ", "RS")
_POINT = re.compile(r"Point ([A-Z]) lies at \((-?\d+), (-?\d+)\)")
_QUESTIONS = {
    "equation": "Find the equation of the line as a function y = ...",
    "slope": "What is the slope of the line? Give a whole number or a fraction in lowest terms.",
    "intercept": "At which value of y does the line cross the y-axis?",
    "area": "The two marked points are joined by the longest side of a right triangle whose other sides run "
    "parallel to the axes. What is its area?",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """Two points on grid crossings and the colour of the line through them."""

    letters: str
    one: tuple[int, int]
    two: tuple[int, int]
    colour: str


def make(rng: Random, difficulty: int) -> Scene:
    """Choose a slope and an intercept, then two points where both numbers are whole."""
    while True:
        rise, run = rng.choice((-3, -2, -1, 1, 2, 3)), rng.randint(1, difficulty + 1)
        start, (first, second) = rng.randint(-5, 5), sorted(rng.sample(range(-9, 10), 2))
        one, two = (first * run, start + first * rise), (second * run, start + second * rise)
        apart = abs(two[0] - one[0]) > 1 and abs(two[1] - one[1]) > 1
        if apart and all(abs(x) < _ACROSS - 1 and 0 < abs(y) < _UP for x, y in (one, two)):
            return Scene(rng.choice(_LETTERS), one, two, rng.choice(COLOURS))


def pixel(x: float, y: float) -> tuple[float, float]:
    """Turn the grid's numbers into the image's pixels."""
    return SIZE[0] / 2 + _UNIT * x, SIZE[1] / 2 - _UNIT * y


def draw(scene: Scene, canvas: Canvas) -> None:
    """Draw the grid, the line to its edges, and the points with their coordinates."""
    _grid(canvas)
    slope, start = _line(scene.one, scene.two)
    ends = [(Fraction(x), slope * x + start) for x in (-_ACROSS, _ACROSS)]
    ends += [((y - start) / slope, Fraction(y)) for y in (-_UP, _UP)]
    inside = sorted((float(x), float(y)) for x, y in ends if abs(x) <= _ACROSS and abs(y) <= _UP)
    canvas.line(pixel(*inside[0]), pixel(*inside[-1]), scene.colour, 2.5)
    for letter, (x, y) in zip(scene.letters, (scene.one, scene.two), strict=True):
        across, down = pixel(x, y)
        canvas.shape("circle", (across - 5, down - 5, across + 5, down + 5), "ink")
        right = x < _ACROSS - 4  # beside the line, on the side it does not take
        below = (slope > 0) == right
        at = (across + (8 if right else -8), down + (12 if below else -12))
        canvas.text(at, f"{letter}({x}, {y})", anchor="lm" if right else "rm", halo=3)


def _grid(canvas: Canvas) -> None:
    for x in range(-_ACROSS, _ACROSS + 1):
        canvas.line(pixel(x, -_UP), pixel(x, _UP), "muted" if x == 0 else "rule")
        if x % 2 == 0 and x:
            canvas.text((pixel(x, 0)[0], pixel(0, 0)[1] + 9), str(x), size=10, colour="muted", halo=1)
    for y in range(-_UP, _UP + 1):
        canvas.line(pixel(-_ACROSS, y), pixel(_ACROSS, y), "muted" if y == 0 else "rule")
        if y % 2 == 0 and y:
            canvas.text(
                (pixel(0, 0)[0] - 5, pixel(0, y)[1]), str(y), size=10, colour="muted", anchor="rm", halo=1
            )


def notes(scene: Scene) -> str:
    """Name the grid and the line, then the two points."""
    grid = f"a coordinate grid that runs from {-_ACROSS} to {_ACROSS} across and from {-_UP} to {_UP} upwards"
    points = zip(scene.letters, (scene.one, scene.two), strict=True)
    head = f"A straight {scene.colour} line through two marked points on {grid}."
    return "\n".join([head, *(f"Point {letter} lies at ({x}, {y})." for letter, (x, y) in points)])


def asks(scene: Scene, rng: Random) -> tuple[Ask, ...]:
    """Ask for the line's equation, its slope, where it crosses the axis, or an area beside it."""
    slope, start = _line(scene.one, scene.two)
    area = Fraction(abs((scene.two[0] - scene.one[0]) * (scene.two[1] - scene.one[1])), 2)
    golds = {
        "equation": _equation(slope, start),
        "slope": _tex(slope),
        "intercept": _tex(start),
        "area": _tex(area),
    }
    sort = rng.choice(("equation", "equation", "slope", "intercept", "area"))
    return (Ask(question=_QUESTIONS[sort], answer=golds[sort]),)


def solve(caption: str, question: str) -> Solution | None:
    """Work from the two points."""
    points = _POINT.findall(caption)
    sort = next((sort for sort, words in _QUESTIONS.items() if words in question), None)
    if sort is None or len(points) != 2:
        return None
    (p, *one), (q, *two) = points
    x1, y1, x2, y2 = (int(number) for number in (*one, *two))
    if x1 == x2 or y1 == y2:
        return None
    opening = pick(("The image shows a line with", "In the image, the line runs through"), caption, question)
    steps = [f"{opening} the points {p}({x1}, {y1}) and {q}({x2}, {y2})."]
    slope, start = _line((x1, y1), (x2, y2))
    across, up = x2 - x1, y2 - y1
    if sort == "area":
        area = Fraction(abs(across * up), 2)
        steps.append(
            f"The sides beside the right angle are as long as the points are apart: from x = {x1} to x = {x2} that is {abs(across)}, and from y = {y1} to y = {y2} it is {abs(up)}."
        )
        steps.append(
            f"Half of their product is the area: {abs(across)} times {abs(up)} is {abs(across * up)}, and half of that is {area}."
        )
        recheck = f"The rectangle around the triangle has the area {abs(across * up)}, and twice {area} is the same."
        return _solution(steps, recheck, area)
    steps.append(
        f"Going from {p} to {q}, x changes by {x2} - ({x1}) = {across} and y changes by {y2} - ({y1}) = {up}. The slope is the second number over the first, {up}/{across} = {slope}."
    )
    recheck = (
        f"From {q} back to {p} the changes are {-across} and {-up}, and their quotient is {slope} as before."
    )
    if sort == "slope":
        steps.append(f"Nothing is left to shorten, so the slope of the line is {slope}.")
        return _solution(steps, recheck, slope)
    steps.append(
        f"A line has the form y = m*x + b. At {p} this reads {y1} = {slope} * ({x1}) + b, so b = {y1} - ({slope * x1}) = {start}."
    )
    recheck = f"Putting x = {x2} into it gives {slope} * ({x2}) + ({start}) = {slope * x2 + start}, which is the height of {q}."
    if sort == "intercept":
        steps.append(f"At the y-axis x is 0, and there the line has the height b, which is {start}.")
        return _solution(steps, recheck, start)
    equation = _equation(slope, start)
    steps.append(f"With both numbers in place the line is {equation}.")
    return Solution(steps=tuple(steps), recheck=recheck, answer=equation, loose=f"${equation}$")


def _solution(steps: list[str], recheck: str, number: Fraction) -> Solution:
    return Solution(steps=tuple(steps), recheck=recheck, answer=_tex(number), loose=str(number))


def _line(one: tuple[int, int], two: tuple[int, int]) -> tuple[Fraction, Fraction]:
    """Return slope and intercept."""
    slope = Fraction(two[1] - one[1], two[0] - one[0])
    return slope, one[1] - slope * one[0]


def _tex(number: Fraction) -> str:
    sign = "-" if number < 0 else ""
    top, bottom = abs(number).as_integer_ratio()
    return f"{sign}{top}" if bottom == 1 else rf"{sign}\frac{{{top}}}{{{bottom}}}"


def _equation(slope: Fraction, start: Fraction) -> str:
    factor = {1: "", -1: "-"}.get(slope.numerator if slope.denominator == 1 else 0, _tex(slope))
    rest = f" {'-' if start < 0 else '+'} {_tex(abs(start))}" if start else ""
    return f"y = {factor}x{rest}"
