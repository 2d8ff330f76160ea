"""Counting: shapes on a calm ground, and how many are left when some of them go (digit)."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlaa_thinking.demo.kind import COLOURS, NUMBERS, SHAPES, Ask, Solution, listing, pick, plural

if TYPE_CHECKING:
    from random import Random

    from vlaa_thinking.demo.canvas import Canvas
    from vlaa_thinking.record import AnswerType

ANSWER_TYPE: AnswerType = "digit"
SIZE: tuple[int, int] = (480, 320)

_RADIUS = {"small": 18, "large": 34}
_THING = re.compile(r"\ban? (small|large) (\w+) (\w+) has its centre at \((\d+), (\d+)\)", re.IGNORECASE)
_GONE = re.compile(r"subtract all ([a-z ]+?)s\.", re.IGNORECASE)
_COUNT = re.compile(r"how many ([a-z ]+?)s are (?:there|left)\?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Thing:
    """One shape, with its centre in pixels."""

    size: str
    colour: str
    shape: str
    x: int
    y: int

    @property
    def name(self) -> str:
        """Say what it is: "small red circle"."""
        return f"{self.size} {self.colour} {self.shape}"

    def fits(self, phrase: str) -> bool:
        """Tell whether a phrase such as "red circle" or "object" speaks of it."""
        return set(phrase.lower().split()) - {"object"} <= set(self.name.split())


Scene = tuple[Thing, ...]


def make(rng: Random, difficulty: int) -> Scene:
    """Put shapes of three colours where they do not touch."""
    colours, things = rng.sample(COLOURS, 3), list[Thing]()
    goal = rng.randint(2 + 2 * difficulty, 4 + 2 * difficulty)
    while len(things) < goal:
        size, x, y = rng.choice(list(_RADIUS)), rng.randint(46, 434), rng.randint(46, 274)
        thing = Thing(size, rng.choice(colours), rng.choice(SHAPES), x, y)
        if all(
            (x - o.x) ** 2 + (y - o.y) ** 2 > (1.3 * (_RADIUS[size] + _RADIUS[o.size])) ** 2 for o in things
        ):
            things.append(thing)
    return tuple(things)


def draw(scene: Scene, canvas: Canvas) -> None:
    """Draw every shape around its centre."""
    for thing in scene:
        reach = _RADIUS[thing.size]
        box = (thing.x - reach, thing.y - reach, thing.x + reach, thing.y + reach)
        canvas.shape(thing.shape, box, thing.colour)


def notes(scene: Scene) -> str:
    """Name every shape with its place."""
    head = (
        f"A plain scene, {SIZE[0]} pixels wide and {SIZE[1]} high, with {len(scene)} separate shapes on it."
    )
    return "\n".join(
        [head, *(f"A {thing.name} has its centre at ({thing.x}, {thing.y})." for thing in scene)]
    )


def asks(scene: Scene, rng: Random) -> tuple[Ask, ...]:
    """Ask what is left when one or two groups go, and how large one group is."""
    one, two, three = rng.choices(scene, k=3)
    gone = [f"{one.colour} {one.shape}"]
    if rng.random() < 0.4 and not two.fits(gone[0]):
        gone.append(two.name)
    left = sum(not any(thing.fits(phrase) for phrase in gone) for thing in scene)
    group = rng.choice((three.name, f"{three.colour} object", three.shape, f"{three.size} {three.shape}"))
    subtract = " ".join(f"Subtract all {phrase}s." for phrase in gone)
    return (
        Ask(question=f"{subtract} How many objects are left?", answer=str(left)),
        Ask(question=f"How many {group}s are there?", answer=str(sum(thing.fits(group) for thing in scene))),
    )


def solve(caption: str, question: str) -> Solution | None:
    """Count what the caption lists."""
    things = [
        Thing(m[1].lower(), m[2].lower(), m[3].lower(), int(m[4]), int(m[5]))
        for m in _THING.finditer(caption)
    ]
    asked, gone = _COUNT.search(question), _GONE.findall(question)
    if not things or not asked:
        return None
    steps = [f"The image shows {_names(things)}, so there are {plural(len(things), 'object')} in all."]
    left = things
    for phrase in gone:
        taken = [thing for thing in left if thing.fits(phrase)]
        left = [thing for thing in left if thing not in taken]
        found = f"Next come the {phrase}s to take away: {_places(taken)}. "
        steps.append(found + f"Taking {len(taken)} away from {len(left) + len(taken)} leaves {len(left)}.")
    kept = [thing for thing in left if thing.fits(asked[1])]
    if not gone:
        lead = pick(("Going through them one by one", "Looking from left to right"), caption, question)
        steps.append(f"{lead} in search of {asked[1]}s, I find {_places(sorted(kept, key=lambda t: t.x))}.")
    steps.append(f"So the number of {asked[1]}s{' that are left' if gone else ''} is {len(kept)}.")
    other = [thing for thing in things if thing not in kept]
    recheck = f"Counted from the other side, what does not belong is {_names(other)}, and {len(things)} minus {len(other)} is {len(kept)}."
    loose = NUMBERS[len(kept)] if 0 < len(kept) < len(NUMBERS) else str(len(kept))
    return Solution(steps=tuple(steps), recheck=recheck, answer=str(len(kept)), loose=loose)


def _names(things: list[Thing]) -> str:
    counts = Counter(thing.name for thing in things)
    return listing(plural(count, name) for name, count in counts.items())


def _places(things: list[Thing]) -> str:
    return listing(f"the {t.name} at ({t.x}, {t.y})" for t in things)
