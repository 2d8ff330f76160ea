"""Gold answers as sources write them, made canonical once, when `collect` reads them."""

from __future__ import annotations

import re
from decimal import Decimal

from vlaa_thinking.checks.choice import read_choice
from vlaa_thinking.checks.digit import read_integer
from vlaa_thinking.checks.iou import read_boxes
from vlaa_thinking.checks.latex import to_latex
from vlaa_thinking.checks.number import read_number
from vlaa_thinking.checks.plain import plain, unwrap
from vlaa_thinking.record import AnswerType, Box, Gold

_STYLES = (  # how options are lettered, the safest first
    r"\({}\)\s*",
    r"(?<![\w(]){}\)\s*",
    r"(?m)^[ \t]*{}[.:]\s+",
    r"(?<![\w(]){}[.:]\s+",
)
_JOINTS = frozenset(("", "and", "or", "to", "with", "from", "versus", "vs", "vs."))
_LETTERED = re.compile(r"\s*\(?([A-Z])[).:]\s*(?=\S)")
_RESIDUE = re.compile(r"^[^\w\s\\$(\[{-]?\s*(?:(?:final )?answer|output(?: \d+)?)\s*:\s*", re.IGNORECASE)
_MATH = re.compile(
    r"\\(?:frac|sqrt|pi|sin|cos|tan|log|ln|infty|pm|le|ge|begin)(?![a-zA-Z])|[=^\u221a\u03c0]"
    r"|\d\s*[a-zA-Z]\b|\d\s*[*/]\s*\d|\b[a-z]\s*[-+]\s*\d|^[\[(][^,]+,[^,]+[\])]$"
)


def infer(
    answer: str,
    *,
    question: str = "",
    choices: tuple[str, ...] = (),
    answers: tuple[str, ...] = (),
    boxes: tuple[Box, ...] = (),
) -> AnswerType:
    """Tell the answer type of a row that does not say it.

    The first rule that fits decides:

    1. boxes are given, or the answer is four numbers in brackets: `iou`;
    2. choices are given, or options stand in the question, and the answer is a letter form or an option's
       text: `choice`;
    3. several different accepted strings are given: `open`;
    4. the answer is an integer without a unit: `digit`;
    5. it is another number, or LaTeX, an equation or an expression: `math`;
    6. else: `open`.
    """
    if boxes or (re.fullmatch(r"\s*\[[^\[\]]*\]\s*", answer) and len(read_boxes(answer)) == 1):
        return "iou"
    options = choices or options_in(question)
    if options and len(read_choice(answer, _unlettered(options)).letters) == 1:
        return "choice"
    if len({plain(text).casefold() for text in answers}) > 1:
        return "open"
    number = read_number(answer)
    if number is not None and not number.unit and number.value.denominator == 1:
        return "digit"
    latex = to_latex(plain(answer))
    if number is not None or (latex and _MATH.search(plain(answer))):
        return "math"
    return "open"


def options_in(question: str) -> tuple[str, ...]:
    """Return the options that a question lists, in order from A and without their letters; () if none.

    They are lettered "(A)", "A)", "A." or "A:", each on a line or all in one; at least two, all different.
    """
    for style in _STYLES:
        spans: list[tuple[int, int]] = []
        for letter in "ABCDEFGHIJ":
            match = re.compile(style.format(letter)).search(question, spans[-1][1] if spans else 0)
            if match is None:
                break
            spans.append(match.span())
        texts = tuple(
            question[end : spans[place + 1][0] if place + 1 < len(spans) else _line_end(question, end)].strip(
                " \t\n,;"
            )
            for place, (_, end) in enumerate(spans)
        )
        least = 3 if style is _STYLES[-1] else 2  # "Point A. Point B." lists nothing
        if len(texts) >= least and len(set(texts)) == len(texts) and not _JOINTS & set(texts):
            return texts
    return ()


def canonical(
    answer: str,
    answer_type: AnswerType,
    *,
    choices: tuple[str, ...] = (),
    answers: tuple[str, ...] = (),
    boxes: tuple[Box, ...] = (),
) -> Gold:
    """Return the gold answer in the form that checks read; `ValueError`, with one sentence, if it cannot be read."""
    choices = _unlettered(choices)
    if answer_type == "iou":
        boxes = boxes or tuple(read_boxes(answer))
        return Gold(answer_type="iou", answer=_boxes(answer, boxes), boxes=boxes)
    if not answer.strip():
        raise ValueError("the answer is empty")
    match answer_type:
        case "digit":
            text = _digit(answer)
        case "choice":
            text = _choice(answer, choices)
        case "math":
            text = _math(answer)
        case _:
            text = answer.strip()
    kept = tuple(dict.fromkeys(stripped for one in answers if (stripped := one.strip())))
    return Gold(answer_type=answer_type, answer=text, answers=kept, choices=choices)


def _digit(answer: str) -> str:
    """Write an integer in digits."""
    value = read_integer(_RESIDUE.sub("", answer))
    if value is None:
        raise ValueError(f"the answer {_quoted(answer)} is not an integer")
    return str(value)


def _choice(answer: str, choices: tuple[str, ...]) -> str:
    """Write an option as its letter."""
    letters = read_choice(_RESIDUE.sub("", answer), choices)
    if len(letters.letters) != 1:
        hint = "" if choices else " (no choices are given)"
        raise ValueError(f"the answer {_quoted(answer)} names no single option{hint}: {letters.reason}")
    return min(letters.letters)


def _math(answer: str) -> str:
    """Strip what stands around an expression."""
    text = unwrap(_RESIDUE.sub("", unwrap(answer)))
    if (
        not text
        or text.startswith("\\boxed")
        or (read_number(text) is None and to_latex(plain(text)) is None)
    ):
        raise ValueError(f"the answer {_quoted(answer)} holds no expression")
    return text


def _boxes(answer: str, boxes: tuple[Box, ...]) -> str:
    """Write boxes as "[0.10, 0.20, 0.50, 0.60]"; several in one more pair of brackets."""
    if not boxes:
        raise ValueError(f"the answer {_quoted(answer)} is not a box of four numbers")
    for box in boxes:
        if len(box) != 4:
            raise ValueError(f"a box has {len(box)} numbers instead of four")
        if not all(0 <= number <= 1 for number in box):
            raise ValueError(f"the box {list(box)} does not lie within [0, 1]")
        if box[0] >= box[2] or box[1] >= box[3]:
            raise ValueError(f"the box {list(box)} has no area: it must be left, top, right, bottom")
    written = [f"[{', '.join(_decimal(number) for number in box)}]" for box in boxes]
    return written[0] if len(written) == 1 else f"[{', '.join(written)}]"


def _decimal(number: float) -> str:
    """Write a number with as many decimals as it has, and at least two."""
    text = format(Decimal(repr(float(number))), "f")
    return f"{number:.2f}" if len(text.partition(".")[2]) < 2 else text


def _unlettered(choices: tuple[str, ...]) -> tuple[str, ...]:
    """Take away letters that the options carry themselves, if all do, in order."""
    found = [_LETTERED.match(choice) for choice in choices]
    if all(match and match[1] == chr(ord("A") + place) for place, match in enumerate(found)):
        return tuple(
            choice[match.end() :].strip() for choice, match in zip(choices, found, strict=True) if match
        )
    return choices


def _line_end(text: str, start: int) -> int:
    """Return where the line ends that holds `start`."""
    end = text.find("\n", start)
    return len(text) if end < 0 else end


def _quoted(answer: str) -> str:
    """Quote an answer, shortened."""
    return f'"{answer.strip()[:40]}"' + (" ..." if len(answer.strip()) > 40 else "")
