"""Answers are read by one rule, and each rule has its table of right answers and of traps."""

from __future__ import annotations

import time

import pytest

from vlaa_thinking.checks import choice, digit, iou
from vlaa_thinking.checks import open as free
from vlaa_thinking.checks.answer import Found, Missing, read_answer
from vlaa_thinking.record import Box, Gold

RATIO = (
    "The ratio increases as the repetition rate increases.",
    "The ratio decreases as the repetition rate increases.",
    "It stays.",
    "It fluctuates.",
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("so\n<answer> 3 </answer>", ("3", "tag")),
        ("<answer>\nB) two\nlines\n</answer> the answer is 4", ("B) two\nlines", "tag")),
        (r"first \boxed{2}, then \boxed{\frac{1}{2}}.", (r"\frac{1}{2}", "boxed")),
        (r"\boxed{\boxed{3}}", ("3", "boxed")),
        (r"\boxed{\{1, 2\}}", (r"\{1, 2\}", "boxed")),
        (r"good \boxed{1} and cut \boxed{2", ("1", "boxed")),
        (
            "Seen.\n\n**Answer:** There are 3 objects remaining.  ",
            ("There are 3 objects remaining.", "label"),
        ),
        ("**Answer: B) The ratio decreases.**", ("B) The ratio decreases.", "label")),
        ("Answer: 3\nAnswer: 4", ("4", "label")),
        ("### Final Answer:\n7", ("7", "label")),
        ("†Answer: 5", ("5", "label")),
        ("So the answer is 3.5. Done.", ("3.5", "phrase")),
        ("The answer is A. No: the final answer is: **B**", ("B", "phrase")),
        ("Answer: 3, though the answer is 4", ("3, though the answer is 4", "label")),
        (r"Answer: 3 or $\boxed{4}$", ("4", "boxed")),
        ("I thought of 5 at first. Final answer: 4", ("4", "label")),
        ("My answer: 7", ("7", "label")),
        ("**Final Answer**\n\n12", ("12", "label")),
        ("Answer:\n\n$$\n12\n$$\n", ("$$\n12\n$$", "label")),
        ("### Final Answer:\n\\[\nx = [1, 2)\n\\]", ("\\[\nx = [1, 2)\n\\]", "label")),
        ("So the correct option is (B).", ("(B)", "phrase")),
        ("Then my final answer should be 3.", ("3", "phrase")),
        ("<answer>&lt;answer&gt;4&lt;/answer&gt;</answer>", ("&lt;answer&gt;4&lt;/answer&gt;", "tag")),
        ("< answer >4< /answer > and <ANSWER>3</Answer>", ("3", "tag")),
    ],
)
def test_an_answer_is_read(text: str, found: tuple[str, str]) -> None:
    read = read_answer(text)
    assert isinstance(read, Found)
    assert (read.text, read.how) == found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<answer>3</answer><answer>3</answer>", "Two <answer> blocks."),
        ("<answer>1</answer>" * 9, "Many <answer> blocks."),
        ("<answer>3", "An <answer> block that is not opened and closed once."),
        ("3</answer> <answer>", "An <answer> block that is not opened and closed once."),
        ("<answer><answer>3</answer>", "An <answer> block that is not opened and closed once."),
        ("<answer> </answer> the answer is 3", "The <answer> block is empty."),
        ("I see three cubes.", "No answer block, box, label or phrase."),
        ("", "No answer block, box, label or phrase."),
        ("The answers vary.", "No answer block, box, label or phrase."),
    ],
)
def test_no_answer_has_a_reason(text: str, reason: str) -> None:
    assert read_answer(text) == Missing(reason)


def test_why_an_answer_was_read_is_said() -> None:
    texts = ["<answer>3</answer>", r"\boxed{3}", "Answer: 3", "The answer is 3"]
    reasons = [found.reason for text in texts if isinstance(found := read_answer(text), Found)]
    assert len(set(reasons)) == 4
    assert reasons[0] == "The only <answer> block."
    assert all(reason.startswith("No <answer> block") for reason in reasons[1:])


DIGIT = {
    1.0: [
        "3", "three", "Three.", "There are 3 objects remaining.", "3.0", "$3$", r"\boxed{3}", "**3**", "3 cm", "+3",
        "4 - 1 = 3", "Removing 1 leaves 3.", "There were 4, 1 was removed, 3 remain", "6/2", "\uff13", "3!",
        "There are 3, not 4.", "3 of the 4 objects", "Step 1: count. Step 2: 3", "figure 2 shows 3 cubes",
        "the one on the left goes, so 3", "There are 3 cubes. Yes, 3.", "Answer: 3", "The answer is three.", r"\text{3}",
    ],
    0.0: [
        "13", "31", "3.5", "-3", "\u22123", "minus three", "3%", "3,000", "thirty", "thirteen", "twenty-three", "3D",
        "3rd", "third", "x_3", "3:00", "2^3", "3²", "10^3", "B3", "not 3", "It is not 3", "isn't 3", "3 or 4", "3, 4",
        "3 4", "3-4", "4", "none", "", "   ", "option 3", "one half", "three quarters", "4 + 4", "9" * 1_500, "3" * 5_000,
        "I do not know", "more than 3", "at least 3", "no more than 3", "≥3", "> 3", "3+", "3 or more",
        "3 and a half", "3 thousand", "3 dozen", "the answer is 4, not 3", "4 = 3 + 1", "between 3 and 4",
    ],
    None: ["three cubes and two balls", "it fell from 4 to 3"],
}  # fmt: skip


@pytest.mark.parametrize(("value", "prediction"), [(v, p) for v, ps in DIGIT.items() for p in ps])
def test_digit(value: float | None, prediction: str) -> None:
    score = digit.check(prediction, Gold(answer_type="digit", answer="3"))
    assert score.value == value, score.reason


@pytest.mark.parametrize(
    ("gold", "prediction"),
    [("1234", "1,234"), ("1234", r"1{,}234"), ("1234", r"1\,234"), ("1234", "1 234"), ("-3", "negative three"), ("-3", "\u22123"),
     ("0", "none"), ("0", "zero"), ("21", "twenty-one"), ("105", "one hundred and five"), ("2000", "two thousand"),
     ("1", "one"), ("1", "There is one cube.")],
)  # fmt: skip
def test_digit_of_other_sizes(gold: str, prediction: str) -> None:
    assert digit.check(prediction, Gold(answer_type="digit", answer=gold)).value == 1.0


CHOICE = {
    1.0: [
        "B", "b", "B)", "(B)", "(b)", "b.", "B:", "**B**", "\uff22", r"\boxed{B}", r"$\text{B}$", "option B", "Option (B)",
        "choice b", "B) The ratio decreases as the repetition rate increases.", "B) The ratio decreases.",
        "The ratio decreases as the repetition rate increases", "the ratio DECREASES as the repetition rate increases.",
        "B The ratio decreases as the repetition rate increases.", "The answer is B.", "The answer is (B) The ratio falls",
        "Answer: B", "The correct option is B because it falls", "B is correct", "A is wrong, B is correct", "I choose B",
        "It is not C but B", "option B, not option A", "B and not A", "B, since it falls", "Between A and B, I choose B",
        "Neither A nor C; B", "Option b", "Ans. B", "answer=B", "just B", "B only", "not A or C, so B", "Rule out A, C and D; B",
        "B; C and D are wrong", "nothing but B", "B.The ratio decreases as the repetition rate increases.",
        "the ratio decreases as the repetition rate increases, not that it stays", "It's not A or C; it's B", "In panel (a) it falls, so B", "B rather than C", "B!", "[B]", "'B'", "It's B", "B because A is wrong", "→ B", "Not A, so B",
    ],
    0.0: [
        "A", "C", "option C", "not B", "B is incorrect", "B is not correct", "A or B", "B and C", "B, C", "AB", "B/C", "B) or C)",
        "Both B and C are right", "Either A or B", "E", "B) The ratio increases as the repetition rate increases.",
        "B) The ratio increases.", "D: It stays.", "B. The ratio increases, i.e. A", "It is not B but C",
        "In figure (b), the ratio falls, so the answer is C.", "", "BE", "A or B, maybe B", "B, no wait, A", "B, It stays.", "B It stays.", "The answer cannot be B",
        "B (It stays.)", "B" * 3_000, "anything but B", "all options but B", "I don't think it is B", "B, which is wrong",
        "B is the wrong option", "I'd eliminate A, B and C", "not A or B", "except A and B", "neither A, B nor C",
        "A and B are wrong", "A, B are incorrect", "B and C can't be right", "A, B and C are not right",
    ],
    None: ["The ratio decreases", "Bob", "A horse", "It goes down", "I am sure", "vitamin B", "The wrong answer is B",
        "incorrect: B", "not A, B"],
}  # fmt: skip


@pytest.mark.parametrize(("value", "prediction"), [(v, p) for v, ps in CHOICE.items() for p in ps])
def test_choice(value: float | None, prediction: str) -> None:
    score = choice.check(prediction, Gold(answer_type="choice", answer="B", choices=RATIO))
    assert score.value == value, score.reason


@pytest.mark.parametrize(
    ("choices", "prediction", "letter"),
    [
        (("A cat", "A dog", "A bird"), "A dog", "B"),
        (("A cat", "A dog", "A bird"), "A cat", "A"),
        (("A cat", "A dog", "A bird"), "the answer is a dog", "B"),
        (("A cat", "A dog", "A bird"), "A small dog", None),
        (("Up", "Down"), "A Down", None),  # the letter of one, the text of the other
        (("Up", "Down"), "A Up", "A"),
        (("Up", "Down"), "B, Down", "B"),
        (("25°", "26°", "28°", "27°"), "D: 27°", "D"),
        (("25°", "26°", "28°", "27°"), "27 degrees", "D"),
        (("25°", "26°", "28°", "27°"), r"$27^\circ$", "D"),
        (("25°", "26°", "28°", "27°"), "D: 28°", None),
        (("0.5", "1/2", "2"), "0.50", None),  # two options are this number
        (("B", "A", "C"), "A", None),  # the letter, or the other option's text
        (("B", "A", "C"), "C", "C"),
        (("same", "same"), "same", None),
        ((), "(c)", "C"),
        ((), "C: whatever", "C"),
    ],
)
def test_which_option_is_chosen(choices: tuple[str, ...], prediction: str, letter: str | None) -> None:
    letters = choice.read_choice(prediction, choices).letters
    assert (min(letters) if len(letters) == 1 else None) == letter


BOX: Box = (0.1, 0.2, 0.5, 0.6)
SPELLINGS = [
    "[0.1, 0.2, 0.5, 0.6]", "(0.1,0.2,0.5,0.6)", "0.1 0.2 0.5 0.6", "0.1, 0.2, 0.5, 0.6", "[.1 .2 .5 .6]",
    "x1=0.1, y1=0.2, x2=0.5, y2=0.6", "xmin: 0.1 ymin: 0.2 xmax: 0.5 ymax: 0.6", "left=0.1, top=0.2, right=0.5, bottom=0.6",
    '{"x2": 0.5, "y2": 0.6, "x1": 0.1, "y1": 0.2}', '{"bbox_2d": [0.1, 0.2, 0.5, 0.6], "label": "cat 2"}',
    "<box>(0.1,0.2),(0.5,0.6)</box>", "<|box_start|>(0.1,0.2),(0.5,0.6)<|box_end|>", "<box>0.1 0.2 0.5 0.6</box>",
    "The box is [0.1, 0.2, 0.5, 0.6].", r"\boxed{[0.1, 0.2, 0.5, 0.6]}", "[0.5, 0.6, 0.1, 0.2]",
    "[0.1, 0.2, 0.5, 0.6], that is [0.1, 0.2, 0.5, 0.6]", "Box: 0.1, 0.2, 0.5, 0.6", "It is 0.1, 0.2, 0.5, 0.6.",
    '["0.1", "0.2", "0.5", "0.6"]', "['0.1', '0.2', '0.5', '0.6']", '{"x1": "0.1", "y1": "0.2", "x2": "0.5", "y2": "0.6"}',
    "left 0.1 top 0.2 right 0.5 bottom 0.6", "cx=0.3, cy=0.4, w=0.4, h=0.4", "x_center: 0.3 y_center: 0.4 width: 0.4 height: 0.4",
]  # fmt: skip


@pytest.mark.parametrize("prediction", SPELLINGS)
def test_a_box_is_read_in_any_spelling(prediction: str) -> None:
    assert iou.check(prediction, Gold(answer_type="iou", answer="", boxes=(BOX,))).value == pytest.approx(1)


@pytest.mark.parametrize(
    "prediction",
    ["", "the dog", "[0.1, 0.2, 0.5]", "[0.1, 0.2, 0.5, 0.6, 0.7]", "[nan, 0, 1, 1]", "[inf, 0, 1, 1]", "[0.1, 0.2, 0.1, 0.6]",
     "[100, 200, 500, 600]", "[1e99, 0, 1, 1]", "[0.6, 0.7, 0.9, 0.9]", "x1=0.1, y1=0.2, x2=0.5", "[0,0,1,1]" * 1_000,
     "[1" + " " * 1_900 + "2", "of 5 boxes 0.1, 0.2, 0.5, 0.6", "the left 3 of 4", "cx=0.3, cy=0.4, x2=0.4, h=0.4"],
)  # fmt: skip
def test_what_is_no_box_scores_nothing(prediction: str) -> None:
    assert iou.check(prediction, Gold(answer_type="iou", answer="", boxes=(BOX,))).value == 0.0


def test_frames() -> None:
    thousand = Gold(answer_type="iou", answer="", boxes=(BOX,), frame="thousand")
    pixels = Gold(answer_type="iou", answer="", boxes=(BOX,), frame="pixels", size=(200, 100))
    assert iou.check("(100,200),(500,600)", thousand).value == pytest.approx(1)
    assert iou.check("[20, 20, 100, 60]", pixels).value == pytest.approx(1)
    assert (
        iou.check("[20, 20, 100, 60]", Gold(answer_type="iou", answer="", boxes=(BOX,), frame="pixels")).value
        is None
    )


def test_several_boxes_are_matched_at_best_and_every_wrong_count_costs() -> None:
    gold = Gold(answer_type="iou", answer="", boxes=((0, 0, 0.5, 0.5), (0.5, 0.5, 1, 1)))
    assert iou.check("[0.5,0.5,1,1] [0,0,0.5,0.5]", gold).value == pytest.approx(1)
    assert iou.check("[0,0,0.5,0.5]", gold).value == pytest.approx(1 / 2)
    assert iou.check("[0,0,0.5,0.5] [0.5,0.5,1,1] [0.2,0,1,1]", gold).value == pytest.approx(2 / 3)
    # Taking the best pair first would give 0.5 + 0: the matching must be of the sum.
    close: tuple[Box, ...] = ((0, 0, 1, 1), (0, 0, 1, 0.5))
    score = iou.check("[0,0,1,0.5] [0,0,1,0.25]", Gold(answer_type="iou", answer="", boxes=close))
    assert score.value == pytest.approx(max((1 + 0.25) / 2, (0.5 + 0.5) / 2))


def test_iou() -> None:
    assert iou.iou((0, 0, 2, 2), (1, 1, 3, 3)) == pytest.approx(1 / 7)
    assert iou.iou((2, 2, 0, 0), (1, 1, 3, 3)) == pytest.approx(1 / 7)
    assert iou.iou((0, 0, 0, 0), (0, 0, 0, 0)) == 0
    assert iou.iou((0, 0, 1, 1), (1, 0, 2, 1)) == 0
    assert iou.iou((float("nan"), 0, 1, 1), (0, 0, 1, 1)) == 0


@pytest.mark.parametrize(
    ("answers", "prediction", "value"),
    [
        (("University of California", "UC"), "university of california.", 1.0),
        (("University of California", "UC"), "The University of California", 1.0),
        (("University of California", "UC"), '"UC"', 1.0),
        (("University of California",), "It is the University of California, Berkeley", None),
        (("University of California",), "Stanford", None),
        (("12.40", "$12.40"), "12.4", 1.0),
        (("12.40",), "$12.40", 1.0),
        (("12.40",), "12.48", 0.0),
        (("12.40",), "twelve", 0.0),
        (("12.40", "$12.40"), "€12.40", None),
        (("12.40", "$12.40"), "12.40 USD", 1.0),
        (("$12.40",), "€12.40", 0.0),
        (("12 cm", "12"), "0.12 m", 1.0),
        (("12 cm", "12"), "12 kg", None),
        (("", " "), "something", None),
        (("12.40",), "The total is 12.40", None),
        (("5",), ".5", 0.0),
        (("5",), "5%", None),
        (("16 March 2020",), "15 March 2020", 0.0),
        (("increases",), "decreases", 0.0),
        (("male",), "female", 0.0),
        (("legal",), "illegal", 0.0),
        (("yes",), "no", 0.0),
        (("coca cola",), "pepsi cola", None),
        (("coca cola",), "not coca cola", None),
        (("3", "three"), "three", 1.0),
        (("3",), "13", 0.0),
        (("x",), "", 0.0),
        ((), "A red ball!", 1.0),
        ((), "the ball is red", None),
        ((), "blue ball", None),
        ((), "word " * 20_000, None),
        ((), " " * 100_000 + "red ball", 1.0),
    ],
)
def test_open(answers: tuple[str, ...], prediction: str, value: float | None) -> None:
    score = free.check(prediction, Gold(answer_type="open", answer="a red ball", answers=answers))
    assert score.value == value, score.reason


def test_a_near_miss_of_spelling_scores_its_anls() -> None:
    gold = Gold(answer_type="open", answer="", answers=("University of California", "UC"))
    assert free.check("Univeristy of California", gold).value == pytest.approx(1 - 2 / 24)
    assert free.anls("", "") == 1
    assert free.anls("abc", "abd") == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "text",
    [
        "\\boxed{" * 20_000, "<answer>" * 20_000, "the answer is" + "\n" * 100_000, "Answer" * 20_000, "*" * 100_000,
        "a" + " " * 100_000 + "b", "(" * 100_000, "$" * 100_000, "\\text{" * 20_000, "not " * 25_000, "1," * 50_000,
        "\x00\ud800" * 1_000, "one hundred " * 9_000, "A or " * 20_000,
    ],
)  # fmt: skip
def test_hostile_text_comes_back_soon(text: str) -> None:
    start = time.perf_counter()
    read_answer(text)
    for part in (text, text[:2_000]):
        assert digit.check(part, Gold(answer_type="digit", answer="3")).value != 1.0
        assert choice.check(part, Gold(answer_type="choice", answer="B", choices=RATIO)).value != 1.0
        assert iou.check(part, Gold(answer_type="iou", answer="", boxes=(BOX,))).value == 0.0
        assert free.check(part, Gold(answer_type="open", answer="x", answers=("a cat",))).value != 1.0
    assert time.perf_counter() - start < 60  # it does not hang
