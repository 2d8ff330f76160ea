"""Images drawn by a program, with exact questions and right answers: the dataset's offline default."""

from __future__ import annotations

import itertools
from random import Random
from typing import TYPE_CHECKING, Any

from vlaa_thinking.demo import bars, boxes, counting, forms, lines
from vlaa_thinking.errors import SetupError
from vlaa_thinking.record import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vlaa_thinking.demo.kind import Ask, Kind

KINDS: dict[str, Kind[Any]] = {
    "counting": counting,
    "bars": bars,
    "lines": lines,
    "boxes": boxes,
    "forms": forms,
}
"""The kinds of scene by name, one for each answer type."""


def rows(kind: str, *, count: int, seed: int) -> Iterator[Row]:
    """Draw the first `count` rows of a kind; to ask for more changes none of the first."""
    if kind not in KINDS:
        raise SetupError(f"The demo draws no {kind!r}; it draws {', '.join(KINDS)}.")
    return itertools.islice(_rows(kind, seed), count)


def _rows(kind: str, seed: int) -> Iterator[Row]:
    from vlaa_thinking.demo.canvas import Canvas  # noqa: PLC0415 - the teacher works without Pillow

    maker, numbers = KINDS[kind], itertools.count()
    for scene, asks in _scenes(maker, f"{seed}/{kind}"):
        notes = maker.notes(scene)
        canvas = Canvas(maker.SIZE, shade=notes)
        maker.draw(scene, canvas)
        image = canvas.png()
        for ask in asks:
            yield Row(
                id=f"{next(numbers):04}",
                image=image,
                question=ask.question,
                answer=ask.answer,
                answer_type=maker.ANSWER_TYPE,
                answers=ask.answers,
                choices=ask.choices,
                boxes=ask.boxes,
                notes=notes,
            )


def _scenes(maker: Kind[Any], seed: str) -> Iterator[tuple[Any, tuple[Ask, ...]]]:
    """Make scenes without end, each by its own seed; one that was there before is made anew."""
    seen = set[str]()
    for index in itertools.count():
        rng = Random(f"{seed}/{index}")
        scene = maker.make(rng, rng.randint(1, 3))
        while maker.notes(scene) in seen:
            scene = maker.make(rng, rng.randint(1, 3))
        seen.add(maker.notes(scene))
        yield scene, maker.asks(scene, rng)
