"""Boxes: distinct shapes apart from each other, and where one of them lies (iou)."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlaa_thinking.demo.kind import COLOURS, Ask, Solution, listing, pick, plural

if TYPE_CHECKING:
    from random import Random

    from vlaa_thinking.demo.canvas import Canvas
    from vlaa_thinking.record import AnswerType, Box

ANSWER_TYPE: AnswerType = "iou"
SIZE: tuple[int, int] = (500, 300)

_STEP = (5, 3)  # pixels: a hundredth of each side, so that every edge is exact with two digits
_REACH = {"small": (8, 14), "large": (20, 30)}  # hundredths of the width
_SHAPES = ("rectangle", "ellipse", "triangle", "diamond")
_ENDS = {"left": (0, min), "right": (2, max), "top": (1, min), "bottom": (3, max)}
_THING = re.compile(
    r"\ban? (small|large) (\w+) (\w+) lies in the box from \((\d+), (\d+)\) to \((\d+), (\d+)\)",
    re.IGNORECASE,
)
_FRAME = re.compile(r"([1-9]\d*) pixels wide and ([1-9]\d*) pixels high", re.IGNORECASE)
_NAMED = re.compile(r"bounding box of the (small|large) (\w+) (\w+)\.", re.IGNORECASE)
_END = re.compile(r"bounding box of the object closest to the (left|right|top|bottom) edge", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Thing:
    """One shape in the pixels of its box: left, top, right, bottom."""

    name: str
    box: tuple[int, int, int, int]


Scene = tuple[Thing, ...]


def make(rng: Random, difficulty: int) -> Scene:
    """Place distinct shapes, trying anew until none comes near another."""
    names = [" ".join(words) for words in itertools.product(_REACH, COLOURS, _SHAPES)]
    things, goal = list[Thing](), 2 + difficulty
    while len(things) < goal:
        name = rng.choice(names)
        wide = rng.randint(*_REACH[name.split()[0]])
        high = round(
            wide * rng.uniform(1.2, 1.8)
        )  # a hundredth of the height is shorter than one of the width
        left, top = rng.randint(2, 98 - wide), rng.randint(2, 98 - high)
        sides = (left * _STEP[0], top * _STEP[1], (left + wide) * _STEP[0], (top + high) * _STEP[1])
        if all(name != other.name and _apart(sides, other.box) for other in things):
            things.append(Thing(name, sides))
    return tuple(things)


def _apart(one: tuple[int, ...], two: tuple[int, ...]) -> bool:
    gap = 8
    return one[2] + gap < two[0] or two[2] + gap < one[0] or one[3] + gap < two[1] or two[3] + gap < one[1]


def draw(scene: Scene, canvas: Canvas) -> None:
    """Fill every box with its shape."""
    for thing in scene:
        _, colour, shape = thing.name.split()
        canvas.shape(shape, thing.box, colour)


def notes(scene: Scene) -> str:
    """Name every shape with its box in pixels."""
    head = f"A plain scene, {SIZE[0]} pixels wide and {SIZE[1]} pixels high, with {len(scene)} different shapes on it."
    facts = (
        f"A {t.name} lies in the box from ({t.box[0]}, {t.box[1]}) to ({t.box[2]}, {t.box[3]})."
        for t in scene
    )
    return "\n".join([head, *facts])


def asks(scene: Scene, rng: Random) -> tuple[Ask, ...]:
    """Ask for one object's box, by its name or by the edge it is closest to."""
    end = rng.choice(list(_ENDS))
    thing, where = _closest(scene, end), f"object closest to the {end} edge of the image"
    ties = sum(t.box[_ENDS[end][0]] == thing.box[_ENDS[end][0]] for t in scene)
    if ties > 1 or rng.random() < 0.6:
        thing = rng.choice(scene)
        where = thing.name
    box = _unit(thing.box, SIZE)
    return (Ask(question=f"Give the bounding box of the {where}.", answer=_written(box), boxes=(box,)),)


def solve(caption: str, question: str) -> Solution | None:
    """Find the object, then divide its pixels by the image's sides."""
    things = [
        Thing(" ".join(m.groups()[:3]).lower(), _ints(m.groups()[3:])) for m in _THING.finditer(caption)
    ]
    frame, named, end = _FRAME.search(caption), _NAMED.search(question), _END.search(question)
    if not things or not frame:
        return None
    if named:
        thing = next((thing for thing in things if thing.name == " ".join(named.groups()).lower()), None)
        reason = "Only one of them has the size, the colour and the shape that are asked for."
    else:
        thing = _closest(things, end[1].lower()) if end else None
        reason = (
            f"The one that comes closest to the {end[1]} edge is the {thing.name}." if end and thing else ""
        )
    if thing is None:
        return None
    width, height = int(frame[1]), int(frame[2])
    left, top, right, bottom = thing.box
    opening = pick(("The image shows", "In the image there are"), caption, question)
    steps = (
        f"{opening} {plural(len(things), 'object')}: {listing(f'a {thing.name}' for thing in things)}. {reason}",
        f"The {thing.name} reaches from {left} to {right} across and from {top} to {bottom} downwards, in pixels.",
        f"The image is {width} pixels wide and {height} high. Dividing gives {left}/{width} = {left / width:.2f} and {right}/{width} = {right / width:.2f} across, {top}/{height} = {top / height:.2f} and {bottom}/{height} = {bottom / height:.2f} downwards. These four numbers, left, top, right and bottom, are the box.",
    )
    recheck = f"The width is {right - left} pixels and the height {bottom - top}, which fits a {thing.name}, and {right / width:.2f} times {width} is {right} as it should be."
    answer = _written(_unit(thing.box, (width, height)))
    return Solution(
        steps=steps, recheck=recheck, answer=answer, loose=answer.replace("0,", ",").replace("0]", "]")
    )


def _closest(things: tuple[Thing, ...] | list[Thing], end: str) -> Thing:
    side, best = _ENDS[end]
    return best(things, key=lambda thing: thing.box[side])


def _ints(words: tuple[str, ...]) -> tuple[int, int, int, int]:
    left, top, right, bottom = (int(word) for word in words)
    return left, top, right, bottom


def _unit(box: tuple[int, int, int, int], size: tuple[int, int]) -> Box:
    left, top, right, bottom = box
    return left / size[0], top / size[1], right / size[0], bottom / size[1]


def _written(box: Box) -> str:
    return f"[{', '.join(f'{edge:.2f}' for edge in box)}]"
