"""Bars: a bar chart, and which of its bars answers a question (choice)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlaa_thinking.demo.kind import COLOURS, Ask, Solution, listing, pick

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from vlaa_thinking.demo.canvas import Canvas
    from vlaa_thinking.record import AnswerType

ANSWER_TYPE: AnswerType = "choice"
SIZE: tuple[int, int] = (480, 320)

_TOPICS = {
    "Books lent per day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"),
    "Sunny hours per month": ("March", "April", "May", "June", "July", "August"),
    "Fruit sold at the market": ("Apples", "Pears", "Plums", "Cherries", "Grapes", "Melons"),
    "Visitors per museum": ("Art", "Science", "History", "Railway", "Nature", "Design"),
    "Players per instrument": ("Violin", "Flute", "Cello", "Horn", "Harp", "Drums"),
}
_RANKS = {"highest": -1, "second highest": -2, "lowest": 0, "second lowest": 1}
_BAR = re.compile(r"The bar for (\w+) stands at (\d+)\.")
_OPTION = re.compile(r"^\s*\(?([A-H])[).:]\s*(.+?)\s*$", re.MULTILINE)
_RANK = re.compile(r"Which category has the ((?:second )?(?:highest|lowest)) value\?")
_FAR = re.compile(r"Which category differs most from (\w+)\?")
_SUM = re.compile(r"What is the sum of the values of (\w+) and (\w+)\?")


@dataclass(frozen=True, slots=True)
class Scene:
    """A chart: the bars' values by name, from left to right."""

    title: str
    values: dict[str, int]
    top: int
    """The highest number on the axis."""
    colour: str


def make(rng: Random, difficulty: int) -> Scene:
    """Choose a topic, four to six of its categories and a value for each, no two the same."""
    title, top = rng.choice(list(_TOPICS)), rng.choice((20, 50, 100, 200))
    names = _TOPICS[title][: 3 + difficulty]
    values = rng.sample(range(top // 10, top * 19 // 20), len(names))
    return Scene(title, dict(zip(names, values, strict=True)), top, rng.choice(COLOURS))


def draw(scene: Scene, canvas: Canvas) -> None:
    """Draw the axis with its lines, and over every bar its value."""
    left, right, low, high = 56, 460, 276, 60
    canvas.text((SIZE[0] / 2, 26), scene.title, size=17)
    for tick in range(0, scene.top + 1, scene.top // 5):
        y = low - (low - high) * tick / scene.top
        canvas.line((left, y), (right, y), "rule" if tick else "ink")
        canvas.text((left - 8, y), str(tick), size=12, colour="muted", anchor="rm")
    pitch = (right - left) / len(scene.values)
    for place, (name, value) in enumerate(scene.values.items()):
        x, y = left + pitch * (place + 0.5), low - (low - high) * value / scene.top
        canvas.box((x - pitch * 0.3, y, x + pitch * 0.3, low), scene.colour)
        canvas.text((x, y - 9), str(value), size=13)
        canvas.text((x, low + 16), name, size=12)


def notes(scene: Scene) -> str:
    """Name the chart, then every bar with its value."""
    axis = f"a vertical axis from 0 to {scene.top} in steps of {scene.top // 5}"
    head = f'A bar chart titled "{scene.title}" with {len(scene.values)} {scene.colour} bars and {axis}.'
    return "\n".join(
        [head, *(f"The bar for {name} stands at {value}." for name, value in scene.values.items())]
    )


def asks(scene: Scene, rng: Random) -> tuple[Ask, ...]:
    """Ask for a bar by its rank or its distance from another, or for a sum."""
    values, names = scene.values, list(scene.values)
    one, two = rng.sample(names, 2)
    gaps = sorted(abs(value - values[one]) for value in values.values())
    kind = rng.choice(("rank", "rank", "far", "sum"))
    if kind == "sum":
        total = values[one] + values[two]
        others = [
            str(total + step) for step in rng.sample([s for s in range(-9, 10) if s and total + s > 0], 3)
        ]
        return (_ask(f"What is the sum of the values of {one} and {two}?", str(total), others, rng),)
    if kind == "far" and len(names) > 4 and gaps[-1] != gaps[-2]:
        gold = max(names, key=lambda name: abs(values[name] - values[one]))
        return (
            _ask(
                f"Which category differs most from {one}?",
                gold,
                [n for n in names if n not in (gold, one)],
                rng,
            ),
        )
    rank = rng.choice(list(_RANKS))
    gold = sorted(names, key=values.__getitem__)[_RANKS[rank]]
    return (_ask(f"Which category has the {rank} value?", gold, [n for n in names if n != gold], rng),)


def _ask(question: str, gold: str, others: Sequence[str], rng: Random) -> Ask:
    choices = rng.sample([gold, *rng.sample(others, 3)], 4)
    return Ask(question=question, answer="ABCD"[choices.index(gold)], choices=tuple(choices))


def solve(caption: str, question: str) -> Solution | None:
    """Read the bars off the caption, work the answer out, and look for it among the options."""
    values = {name: int(value) for name, value in _BAR.findall(caption)}
    found = _work(values, question) if len(values) > 1 else None
    letters = {option.lower(): letter for letter, option in _OPTION.findall(question)}
    if found is None or found[0].lower() not in letters:
        return None
    result, working, recheck = found
    bars = listing(f"{name} at {value}" for name, value in values.items())
    opening = pick(
        ("The image shows these bars:", "In the image, the bars read as follows:"), caption, question
    )
    letter = letters[result.lower()]
    last = f"That is {result}, and among the options {result} stands under {letter}, so {letter} is right."
    return Solution(
        steps=(f"{opening} {bars}.", working, last),
        recheck=recheck,
        answer=letter,
        loose=f"{letter}) {result}",
    )


def _work(values: dict[str, int], question: str) -> tuple[str, str, str] | None:
    """Return the result, the working, and the same reached on another way."""
    order = sorted(values, key=values.__getitem__)
    if rank := _RANK.search(question):
        name = order[_RANKS[rank[1]]]
        line = listing(f"{values[n]}" for n in order)
        higher = len(order) - 1 - order.index(name)
        working = (
            f"From the lowest to the highest the values run {line}. The {rank[1]} of them is {values[name]}."
        )
        return (
            name,
            working,
            f"{higher} of the other bars are higher than {name}, and {order.index(name)} are lower.",
        )
    if (far := _FAR.search(question)) and far[1] in values:
        gaps = {name: abs(value - values[far[1]]) for name, value in values.items() if name != far[1]}
        name = max(gaps, key=gaps.__getitem__)
        line = listing(f"{gap} for {other}" for other, gap in gaps.items())
        working = f"{far[1]} stands at {values[far[1]]}. The distances from it are {line}, and the largest is {gaps[name]}."
        return (
            name,
            working,
            f"The bars at the two ends are {order[0]} and {order[-1]}, and {name} lies further away.",
        )
    if (both := _SUM.search(question)) and both[1] in values and both[2] in values:
        one, two = values[both[1]], values[both[2]]
        working = f"The two values that matter are {one} for {both[1]} and {two} for {both[2]}. Added, {one} + {two} = {one + two}."
        return (
            str(one + two),
            working,
            f"Backwards, {one + two} - {two} = {one}, which is the bar for {both[1]}.",
        )
    return None
