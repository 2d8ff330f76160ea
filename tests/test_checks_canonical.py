"""What sources write as the right answer becomes one canonical form, or a sentence that says why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vlaa_thinking.checks import choice, digit, iou, math
from vlaa_thinking.checks import open as free
from vlaa_thinking.checks.canonical import canonical, infer, options_in

if TYPE_CHECKING:
    from vlaa_thinking.record import AnswerType, Box, Gold


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("3", "digit"), (" 3.0", "digit"), ("three", "digit"), ("-7", "digit"), ("1,234", "digit"), (r"$3$", "digit"),
        ("0.5", "math"), ("50%", "math"), ("1/2", "math"), ("12 cm", "math"), ("$5", "math"), ("y = 2x + 3", "math"),
        (r"\[\boxed{y = -2\sin(x)}\]", "math"), (r"\frac{1}{2}", "math"), ("2x+3", "math"), ("x-1", "math"), ("3√2", "math"),
        ("(0.1, 0.2)", "math"), ("[1, 2]", "math"),
        ("[0.1, 0.2, 0.3, 0.4]", "iou"),
        ("B", "open"), ("Yes", "open"), ("x", "open"), ("a dog", "open"), ("March 3", "open"), ("COVID-19", "open"),
        ("2-3", "open"), ("10:30", "open"), ("Answer = unknown to me", "open"), ("3 of the dogs", "open"), ("", "open"),
    ],
)  # fmt: skip
def test_a_type_is_inferred(answer: str, kind: AnswerType) -> None:
    assert infer(answer) == kind


def test_what_comes_with_an_answer_goes_first() -> None:
    assert infer("the dog", boxes=((0, 0, 1, 1),)) == "iou"
    assert infer("B", choices=("cat", "dog")) == "choice"
    assert infer("dog", choices=("cat", "dog")) == "choice"
    assert infer("a mouse", choices=("cat", "dog")) == "open"
    assert infer("B", question="Which?\nA) cat\nB) dog") == "choice"
    assert infer("3", question="How many? A) 1 B) 3") == "choice"
    assert infer("12.40", answers=("12.40", "$12.4 or so")) == "open"
    assert infer("12", answers=("12", "12")) == "digit"


@pytest.mark.parametrize(
    ("question", "options"),
    [
        ("Find x.\nChoices:\nA: 145°\nB: 35°\nC: 25°", ("145°", "35°", "25°")),
        ("Which? (A) red ball (B) blue ball\nThink.", ("red ball", "blue ball")),
        ("Options: A) 1, B) 2, C) 3, D) 4\nAnswer with the letter.", ("1", "2", "3", "4")),
        ("Which is it?\nA. cat\nB. dog", ("cat", "dog")),
        ("Which is it? A. cat B. dog C. bird", ("cat", "dog", "bird")),
        ("In panels (A) and (B), what is seen?", ()),
        ("Point A. Point B. Which?", ()),
        ("What is A?", ()),
        ("A) only one", ()),
        ("B) two C) three", ()),
        ("Q: x A: y", ()),
        ("", ()),
    ],
)
def test_options_are_found_in_a_question(question: str, options: tuple[str, ...]) -> None:
    assert options_in(question) == options


@pytest.mark.parametrize(
    ("answer", "kind", "choices", "written"),
    [
        ("three", "digit", (), "3"),
        (" 3.0", "digit", (), "3"),
        ("1,234", "digit", (), "1234"),
        ("†Answer: 5", "digit", (), "5"),
        ("A", "choice", (), "A"),
        ("A)", "choice", (), "A"),
        ("(a)", "choice", (), "A"),
        ("D: 27°", "choice", (), "D"),
        ("dog", "choice", ("cat", "dog"), "B"),
        ("b", "choice", ("A) cat", "B) dog"), "B"),
        ("B. dog", "choice", ("cat", "dog"), "B"),
        (r"\[\boxed{y = 2x + 3}\]", "math", (), "y = 2x + 3"),
        (r"$$\frac{1}{2}$$", "math", (), r"\frac{1}{2}"),
        ("Output 4: y=2x", "math", (), "y=2x"),
        ("[0.1, .2, 0.5, 0.6]", "iou", (), "[0.10, 0.20, 0.50, 0.60]"),
        ("[0, 0.125, 1, 1]", "iou", (), "[0.00, 0.125, 1.00, 1.00]"),
        (" a red ball ", "open", (), "a red ball"),
    ],
)
def test_an_answer_is_made_canonical(
    answer: str, kind: AnswerType, choices: tuple[str, ...], written: str
) -> None:
    gold = canonical(answer, kind, choices=choices)
    assert (gold.answer_type, gold.answer) == (kind, written)


@pytest.mark.parametrize(
    ("answer", "kind", "choices", "words"),
    [
        ("abc", "digit", (), 'the answer "abc" is not an integer'),
        ("3.5", "digit", (), "not an integer"),
        ("3%", "digit", (), "not an integer"),
        ("", "digit", (), "the answer is empty"),
        ("  ", "open", (), "the answer is empty"),
        ("E", "choice", ("cat", "dog"), "There is no option E"),
        ("mouse", "choice", ("cat", "dog"), "names no single option"),
        ("A or B", "choice", (), "no choices are given"),
        ("B) cat", "choice", ("cat", "dog"), "The letter B with the text of A"),
        ("[0.1, 0.2, 0.5]", "iou", (), "is not a box of four numbers"),
        ("[0.1, 0.2, 0.5, 1.6]", "iou", (), "does not lie within [0, 1]"),
        ("[0.5, 0.5, 0.2, 0.2]", "iou", (), "has no area"),
        ("", "iou", (), "is not a box"),
        (r"\boxed{}", "math", (), "holds no expression"),
        ("no solution was given", "math", (), "holds no expression"),
    ],
)
def test_a_gold_answer_that_cannot_be_read_says_why(
    answer: str, kind: AnswerType, choices: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]*$") as caught:
        canonical(answer, kind, choices=choices)
    assert words in str(caught.value)


def test_boxes_and_lists_are_kept() -> None:
    boxes: tuple[Box, ...] = ((0, 0, 0.5, 0.5), (0.5, 0.5, 1, 1))
    gold = canonical("two dogs", "iou", boxes=boxes)
    assert gold.answer == "[[0.00, 0.00, 0.50, 0.50], [0.50, 0.50, 1.00, 1.00]]"
    assert gold.boxes == boxes
    gold = canonical("b", "choice", choices=("A) cat", "B) dog"))
    assert gold.choices == ("cat", "dog")
    assert canonical("UC", "open", answers=("UC", " UC ", "", "California")).answers == ("UC", "California")


CHECKS = {
    "digit": digit.check,
    "choice": choice.check,
    "math": math.check,
    "iou": iou.check,
    "open": free.check,
}


@pytest.mark.parametrize(
    "gold",
    [
        canonical("three", "digit"),
        canonical("dog", "choice", choices=("cat", "dog")),
        canonical(r"\[\boxed{y = 2x + 3}\]", "math"),
        canonical("[0.123, 0.2, 0.5, 0.6]", "iou"),
        canonical("x", "iou", boxes=((0, 0, 0.5, 0.5), (0.5, 0.5, 1, 1))),
        canonical("A red ball.", "open"),
        canonical("12.40", "open", answers=("12.40", "twelve forty")),
    ],
)
def test_a_canonical_answer_is_right_by_its_own_check(gold: Gold) -> None:
    assert CHECKS[gold.answer_type](gold.answer, gold).value == pytest.approx(1)
