"""The labelled set: traps written by hand in verdicts/*.tsv, and as many plain pairs from `constructed`."""

from __future__ import annotations

import csv
import hashlib
import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

from constructed import Label, Pair, constructed

from vlaa_thinking.record import ANSWER_TYPES, AnswerType, Box, Frame, Gold

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent / "verdicts"
SIGNS = str.maketrans({"⏎": "\n", "␌": "\f", "␈": "\b"})
TOLERANCE = 0.0001
"""As verifiers/math.toml has it."""


def pairs(answer_type: AnswerType) -> list[Pair]:
    """Return the traps of a type, and as many plain pairs."""
    found = traps(answer_type)
    return [*found, *constructed(answer_type, len(found))]


def everything() -> dict[AnswerType, list[Pair]]:
    """Return the whole set."""
    return {answer_type: pairs(answer_type) for answer_type in ANSWER_TYPES}


def traps(answer_type: AnswerType) -> list[Pair]:
    """Read the traps of a type."""
    with (HERE / f"{answer_type}.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [_trap(answer_type, row) for row in rows]


def is_aside(gold: str, prediction: str) -> bool:
    """Tell whether a trap was kept aside: a hash decides, so nobody chose."""
    return hashlib.sha256(f"{gold}\t{prediction}".encode()).digest()[0] % 2 == 1


def _trap(answer_type: AnswerType, row: Mapping[str, str]) -> Pair:
    """Read one line."""
    gold, prediction = (row[name].translate(SIGNS) for name in ("gold", "prediction"))
    return Pair(
        gold=_gold(answer_type, gold, row["more"]),
        prediction=prediction,
        label=_label(row["label"]),
        why=row["why"],
        aside=is_aside(row["gold"], row["prediction"]),
    )


def _label(text: str) -> Label:
    """Read a label: a word, or a fraction."""
    return cast("Label", text) if text in ("right", "wrong", "undecided") else Fraction(text)


def _gold(answer_type: AnswerType, gold: str, more: str) -> Gold:
    """Read gold answer and what comes with it: options, accepted strings, or a frame."""
    parts = tuple(more.split(" | ")) if more else ()
    match answer_type:
        case "choice":
            return Gold(answer_type="choice", answer=gold, choices=parts)
        case "open":
            return Gold(answer_type="open", answer=gold, answers=parts)
        case "iou":
            frame, _, size = more.partition(" ")
            numbers = [float(number) for number in re.findall(r"[\d.]+", gold)]
            boxes = tuple(
                cast("Box", tuple(numbers[start : start + 4])) for start in range(0, len(numbers), 4)
            )
            width, _, height = size.partition("x")
            return Gold(
                answer_type="iou",
                answer=gold,
                boxes=boxes,
                frame=cast("Frame", frame or "unit"),
                size=(int(width), int(height)) if size else None,
            )
        case _:
            return Gold(answer_type=answer_type, answer=gold, tolerance=TOLERANCE)


def verdict(value: float | None) -> str:
    """Say a score as a label's word: what lies between wrong and right is for the judge."""
    if value is None or 0 < value < 1:
        return "undecided"
    return "right" if value else "wrong"


def agrees(pair: Pair, value: float | None) -> bool:
    """Tell whether a score is what the label says; of an IoU, to the hundredth."""
    if isinstance(pair.label, Fraction):
        return value is not None and abs(value - float(pair.label)) < 0.01
    return verdict(value) == pair.label


def too_kind(pair: Pair, value: float | None) -> bool:
    """Tell whether a score is better than its label, which is the worse error."""
    best = float(pair.label) + 0.01 if isinstance(pair.label, Fraction) else 0.999
    return not agrees(pair, value) and (value or 0) > best
