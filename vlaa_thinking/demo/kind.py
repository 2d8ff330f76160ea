"""What every kind of scene offers: a scene by seed, its drawing, its notes, its questions, and how to solve one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from random import Random

    from vlaa_thinking.demo.canvas import Canvas
    from vlaa_thinking.record import AnswerType, Box

Scene = TypeVar("Scene")

COLOURS = ("red", "blue", "green", "yellow", "purple")
SHAPES = ("circle", "square", "triangle")
NUMBERS = (
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One question on a scene with its right answer."""

    question: str
    answer: str
    answers: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """What a solver makes of a caption and a question."""

    steps: tuple[str, ...]
    """The reasoning, at least two entries; each holds whole sentences, the last one the result."""
    recheck: str
    """The result reached on another way: what a doubting reasoner says."""
    answer: str
    loose: str
    """The same answer as a careless writer puts it: "three", "B) Tuesday"."""


class Kind(Protocol[Scene]):
    """A module of this package that makes one kind of scene."""

    ANSWER_TYPE: AnswerType
    SIZE: tuple[int, int]
    """Width and height of the image in pixels."""

    def make(self, rng: Random, difficulty: int, /) -> Scene:
        """Make a scene; difficulty is 1, 2 or 3."""
        ...

    def draw(self, scene: Scene, canvas: Canvas, /) -> None:
        """Draw the scene."""
        ...

    def notes(self, scene: Scene, /) -> str:
        """Say what is there, exactly: first what it is, then one fact a line."""
        ...

    def asks(self, scene: Scene, rng: Random, /) -> tuple[Ask, ...]:
        """Ask about the scene; every scene of a kind gets equally many questions."""
        ...

    def solve(self, caption: str, question: str, /) -> Solution | None:
        """Solve from the two texts alone; None: they do not tell."""
        ...


def pick(options: Sequence[str], *texts: str) -> str:
    """Choose a wording by a hash of texts, so that traces differ and none changes from run to run."""
    digest = hashlib.sha256("\0".join((*options, *texts)).encode()).digest()
    return options[int.from_bytes(digest[:4]) % len(options)]


def listing(parts: Iterable[str]) -> str:
    """Join as one says it: "a", "a and b", "a, b and c"; of no parts, "nothing"."""
    *head, last = [*parts] or ["nothing"]
    return f"{', '.join(head)} and {last}" if head else last


def plural(count: int, noun: str) -> str:
    """Count in words: "one object", "three objects"."""
    number = NUMBERS[count] if count < len(NUMBERS) else str(count)
    return f"{number} {noun}" if count == 1 else f"{number} {noun}s"
