"""Readers of scenes that teach fresh weights to see.

Half of what a model of a hundred thousand weights needs to learn is what an image looks like. These it can learn: one to three
large shapes of the demo's, apart from each other, to be counted; and something of the demo's own scenes, answered in a sentence.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from random import Random
from typing import TYPE_CHECKING

from vlaa_thinking import Row, demo
from vlaa_thinking.demo.canvas import Canvas
from vlaa_thinking.demo.kind import COLOURS, SHAPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vlaa_thinking.sources import Source

SIDE, REACH = 96, 16
"""Pixels: of the image, and from a shape's centre to its edge."""
QUESTION = "How many objects are there?"
THOUGHT = "I look at the image."
"""The reasoning of the rows that are to be adopted: short, so that a reply is a few tokens."""


def read(at: Source, *, count: int) -> Iterator[Row]:
    """Draw `count` scenes; each source of a project has its own."""
    for number in range(count):
        rng = Random(f"{at.seed}/{at.name}/{number}")
        image, shapes = scene(rng)
        yield Row(
            id=f"{number:05}",
            image=image,
            question=QUESTION,
            answer=str(shapes),
            answer_type="digit",
            reasoning=THOUGHT,
            response=str(shapes),
        )


def answered(at: Source, *, kind: str, after: int, count: int) -> Iterator[Row]:
    """Draw the `count` rows that follow the first `after` of a kind of the demo's, whose scenes are other ones, with their answers."""
    for row in islice(demo.rows(kind, count=after + count, seed=at.seed), after, None):
        yield replace(row, reasoning=THOUGHT, response=row.answer)


def scene(rng: Random) -> tuple[bytes, int]:
    """Draw one to three shapes, each number equally often; returns the PNG and how many they are."""
    count, centres = rng.randint(1, 3), list[tuple[int, int]]()
    while len(centres) < count:
        x, y = rng.randint(REACH, SIDE - REACH), rng.randint(REACH, SIDE - REACH)
        if all((x - u) ** 2 + (y - v) ** 2 > (2.2 * REACH) ** 2 for u, v in centres):
            centres.append((x, y))
    canvas = Canvas((SIDE, SIDE), shade=str(rng.random()))
    for x, y in centres:
        canvas.shape(rng.choice(SHAPES), (x - REACH, y - REACH, x + REACH, y + REACH), rng.choice(COLOURS))
    return canvas.png(), count
