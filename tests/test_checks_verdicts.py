"""The checks agree with the labelled set as far as was reached, and hold whatever a prediction holds."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from constructed import constructed
from hostile import HOSTILE
from labelled import agrees, everything, pairs, too_kind, traps

from vlaa_thinking.checks import choice, digit, iou, math
from vlaa_thinking.checks import open as free
from vlaa_thinking.checks.algebra import same
from vlaa_thinking.checks.plain import plain
from vlaa_thinking.checks.tokens import TooMuch
from vlaa_thinking.record import ANSWER_TYPES, AnswerType, Box, Gold, Score

CHECKS = {
    "digit": digit.check,
    "choice": choice.check,
    "math": math.check,
    "iou": iou.check,
    "open": free.check,
}
LEAST = {"digit": (161, 161), "choice": (146, 136), "math": (243, 242), "iou": (99, 99), "open": (135, 134)}
"""Plain pairs and traps judged as they are labelled: all but 10 traps of options, 1 of mathematics, 1 of free text."""
PIECES = [
    *"0123456789+-*/^_=<>(){}[]|,.;:!?xyabcABCI $\\%'\"&~\n\t°√π∞≤≥≠±÷½²\u00d7",
    *(
        "\\frac",
        "\\sqrt",
        "\\sin",
        "\\pi",
        "^{",
        "}{",
        "\\left",
        "\\begin{pmatrix}",
        "\\\\",
        "\\{",
        "\\pm",
        "\\cup",
    ),
    *(
        "and",
        "or",
        "not",
        "three",
        "cm",
        "\\text{",
        "\\boxed{",
        "x_1",
        "f(x)",
        "\\log_",
        "1/0",
        "99999",
        "e",
        "i",
    ),
    *("option ", "(A)", " B ", "the answer is ", "so ", "<answer>", "</answer>", "Answer: "),
]


@pytest.mark.parametrize("answer_type", ANSWER_TYPES)
def test_the_labelled_set_is_judged_as_labelled(answer_type: AnswerType) -> None:
    plain_right = trap_right = kind = 0
    for pair in pairs(answer_type):
        value = CHECKS[answer_type](pair.prediction, pair.gold).value
        plain_right += not pair.why and agrees(pair, value)
        trap_right += bool(pair.why) and agrees(pair, value)
        kind += too_kind(pair, value)
    assert plain_right >= LEAST[answer_type][0]
    assert trap_right >= LEAST[answer_type][1]
    assert kind == 0, "called better than it is"


def test_the_labelled_set_is_large_and_half_of_it_are_traps() -> None:
    found = everything()
    assert sum(map(len, found.values())) >= 1_500
    for answer_type, some in found.items():
        every = traps(answer_type)
        assert len(some) == 2 * len(every)
        assert len({(trap.gold, trap.prediction) for trap in every}) == len(every)
        assert 0.4 < sum(trap.aside for trap in every) / len(every) < 0.7
        labels = {pair.label for pair in some}
        assert labels >= ({Fraction(0), Fraction(1)} if answer_type == "iou" else {"right", "wrong"})


@pytest.mark.parametrize("answer_type", ANSWER_TYPES)
def test_plain_pairs_of_another_seed_are_judged_as_they_were_made(answer_type: AnswerType) -> None:
    for pair in constructed(answer_type, 150, seed=20):
        score = CHECKS[answer_type](pair.prediction, pair.gold)
        assert agrees(pair, score.value), (pair, score)


def damaged(rng: random.Random, texts: list[str]) -> str:
    """Draw a text that may be anything: pieces in a row, or a prediction with pieces put in."""
    if rng.random() < 0.5:
        return "".join(rng.choice(PIECES) for _ in range(rng.randint(0, 30)))
    text = rng.choice(texts)
    for _ in range(rng.randint(1, 4)):
        place = rng.randint(0, len(text))
        text = text[:place] + rng.choice(PIECES) + text[place + rng.randint(0, 2) :]
    return text


@pytest.mark.parametrize("answer_type", ANSWER_TYPES)
def test_no_check_raises_or_leaves_its_range_and_each_repeats_itself(answer_type: AnswerType) -> None:
    rng = random.Random(7)
    known = pairs(answer_type)
    texts = [pair.prediction for some in everything().values() for pair in some]
    check = math.exact if answer_type == "math" else CHECKS[answer_type]
    for _ in range(2_000):
        text, gold = damaged(rng, texts), rng.choice(known).gold
        score = check(text, gold)
        assert score is None or score.value is None or 0 <= score.value <= 1
        assert check(text, gold) == score
        if score is not None:
            assert score.reason.endswith(".")
            assert "\n" not in score.reason


@pytest.mark.parametrize("answer_type", ANSWER_TYPES)
def test_a_hostile_text_is_never_right(answer_type: AnswerType) -> None:
    check = math.exact if answer_type == "math" else CHECKS[answer_type]
    boxes: tuple[Box, ...] = ((0.6, 0.1, 0.8, 0.4),)
    answer = "B" if answer_type == "choice" else "17"
    gold = Gold(answer_type=answer_type, answer=answer, choices=("7", "17"), boxes=boxes)
    for text in HOSTILE:
        score: Score | None = check(text, gold)
        assert score is None or score.value is None or score.value < 0.5, (text[:60], score)


def test_algebra_does_not_care_which_side_is_which() -> None:
    for pair in pairs("math"):
        left, right = plain(pair.prediction), plain(pair.gold.answer)
        try:
            assert same(left, right) == same(right, left), pair
        except TooMuch:
            assert "!" in left + right


def test_overlap_does_not_care_which_box_is_which() -> None:
    for pair in constructed("iou", 200, seed=3):
        (right,) = pair.gold.boxes
        turned = (right[1], right[0], right[3], right[2])
        assert iou.iou(right, turned) == pytest.approx(iou.iou(turned, right))
        assert 0 <= iou.iou(right, turned) <= 1
