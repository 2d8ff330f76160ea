"""Readers of scenes that a model of some hundred thousand weights can learn to see: the demo's counting, made easier.

One to four of the demo's shapes, all of one size, in two colours, on a small square; and one question: how many objects there are
in all, or of one colour. `seen` answers in a word, for the model that is to be the base; `asked` leaves the reasoning
to the demo's teacher, who is told the notes and never sees the image.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from vlaa_thinking import Row
from vlaa_thinking.demo import counting
from vlaa_thinking.demo.canvas import Canvas
from vlaa_thinking.demo.kind import COLOURS, SHAPES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vlaa_thinking.sources import Source

SIDE, REACH = 128, 18
"""Pixels: of the image, and from a shape's centre to its edge, as the demo draws a small one."""
THOUGHTS = ("I look at the image.", "I look at the image. Wait, let me check.")
"""What the base is taught to say before it answers; every fourth time it is the second, which holds two cues."""


def seen(at: Source, *, count: int) -> Iterator[Row]:
    """Draw `count` scenes whose rows bring their own answer, with next to no reasoning: to be adopted."""
    for number in range(count):
        image, notes, question, answer = scene(Random(f"{at.seed}/{at.name}/{number}"))
        yield Row(
            id=f"{number:05}",
            image=image,
            question=question,
            answer=answer,
            answer_type="digit",
            notes=notes,
            reasoning=THOUGHTS[number % 4 == 0],
            response=answer,
        )


def asked(at: Source, *, count: int) -> Iterator[Row]:
    """Draw `count` scenes that take the whole way: caption, distilled reasoning, rewrite, verification."""
    for number in range(count):
        image, notes, question, answer = scene(Random(f"{at.seed}/{at.name}/{number}"))
        yield Row(
            id=f"{number:05}",
            image=image,
            question=question,
            answer=answer,
            answer_type="digit",
            notes=notes,
        )


def scene(rng: Random) -> tuple[bytes, str, str, str]:
    """Draw a scene; returns the PNG, the notes, the question and its answer, a digit."""
    colours, goal, things = rng.sample(COLOURS, 2), rng.randint(1, 4), list[counting.Thing]()
    while len(things) < goal:  # three never leave a fourth without a place
        x, y = rng.randint(REACH, SIDE - REACH), rng.randint(REACH, SIDE - REACH)
        if all((x - o.x) ** 2 + (y - o.y) ** 2 > (2.1 * REACH) ** 2 for o in things):
            things.append(counting.Thing("small", rng.choice(colours), rng.choice(SHAPES), x, y))
    head = f"A plain scene, {SIDE} pixels wide and high, with {goal} separate shapes on it."
    facts = (f"A {thing.name} has its centre at ({thing.x}, {thing.y})." for thing in things)
    notes = "\n".join([head, *facts])
    canvas = Canvas((SIDE, SIDE), shade=notes)
    counting.draw(tuple(things), canvas)
    group = rng.choice(("object", *(f"{colour} object" for colour in colours)))
    answer = sum(thing.fits(group) for thing in things)
    return canvas.png(), notes, f"How many {group}s are there?", str(answer)
