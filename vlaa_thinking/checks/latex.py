r"""Mathematics as answers write it, made into the LaTeX that Math-Verify reads."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vlaa_thinking.checks.answer import Found, read_answer
from vlaa_thinking.checks.expression import read
from vlaa_thinking.checks.number import read_number
from vlaa_thinking.checks.plain import plain
from vlaa_thinking.checks.tokens import TooMuch

_FUNCTIONS = [
    "arcsin",
    "arccos",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "sin",
    "cos",
    "tan",
    "cot",
    "sec",
    "csc",
    "log",
    "ln",
    "exp",
    "max",
    "min",
]
_REWRITES = tuple(
    (re.compile(pattern), new)
    for pattern, new in (
        (r"°", r"^{\\circ}"),
        (r"\*\*", "^"),
        (r"[\u00d7]", r"\\times "),
        (r"[\u00b7\u22c5]", r"\\cdot "),
        (r"\u00f7", r"\\div "),
        (r"\u03c0|(?<![\\a-zA-Z])pi(?![a-zA-Z])", r"\\pi "),
        (r"\u03b8", r"\\theta "),
        (r"\u221e|(?<![\\a-zA-Z])(?:infinity|inf)(?![a-zA-Z])", r"\\infty "),
        (r"\u2264|<=|\\leqslant", r"\\le "),
        (r"\u2265|>=|\\geqslant", r"\\ge "),
        (r"\u2260|!=", r"\\neq "),
        (r"\u00b1|\+/-|\+-", r"\\pm "),
        (r"\u222a", r"\\cup "),
        (r"\u2208", r"\\in "),
        (r"\u2220", r"\\angle "),
        (r"(?:\u221a|(?<![\\a-zA-Z])sqrt)\s*\(([^()]*)\)", r"\\sqrt{\1}"),
        (r"(?:\u221a|(?<![\\a-zA-Z])sqrt)\s*(\d+|[a-zA-Z])", r"\\sqrt{\1}"),
        (r"(?<![\\a-zA-Z])abs\s*\(([^()]*)\)", r"|\1|"),
        (rf"(?<![\\a-zA-Z])({'|'.join(_FUNCTIONS)})(?=[^a-zA-Z]|[a-zA-Z](?![a-zA-Z])|$)", r"\\\1 "),
        (r"(?<![\d^./])(\d+)\s*/\s*(\d+)(?![\d./])", r"\\frac{\1}{\2}"),
        (r"\s*(?:,\s*)?(?<![\\a-zA-Z])(?:or|and)(?![a-zA-Z])\s*", ", "),
        (r"\s+", " "),
    )
)
_TEXT = re.compile(r"\\[a-zA-Z]+|[a-zA-Z]+")
_SHORT_WORDS = frozenset(
    ["is", "it", "no", "of", "to", "in", "so", "we", "an", "if", "as", "by", "be", "not", "the"]
)
_LETTERS = re.compile(
    r"\\(?:begin|end|operatorname)\s*\{[a-z]*\*?\}|\\(?:angle|triangle|overline)\s*\{?\s*[A-Z]{1,4}\b\}?"
)
_TITLE = re.compile(r"(?:[A-Za-z]{3,15}|the|of|its)(?: [A-Za-z]{1,15}){0,4}\s*=\s*(?=[^=]+$)")
_UNIT_TAIL = re.compile(r"\s+(?:cm|mm|km|units?|degrees|radians|square units)(?:\^\{?[23]\}?)?$")
_NAME = re.compile(
    r"(?:\\angle\s*[A-Z]{1,3}|m\\angle\s*[A-Z]{1,3}|[A-Z]{2}|[A-Za-z]|\\(?:alpha|beta|gamma|theta|phi|lambda|mu|omega))(?:_\{?\w{1,8}\}?)?'{0,2}"
    r"(?:\s*\(\s*[A-Za-z](?:\s*,\s*[A-Za-z])*\s*\))?"
)
_ABOUT = re.compile(r"^(?:\\approx|\u2248|~)\s*")
_OR = re.compile(r"\s*[,;]?\s*(?<![\\a-zA-Z])(?:or|and)(?![a-zA-Z])\s*|\s*;\s*")
_NEGATED = re.compile(r"\b(?:not|never|neither|cannot)\b|n't\b|\u2260|\\neq?\b", re.IGNORECASE)
_TAIL = re.compile(
    r".*(?:\b(?:is|are|be|equals|gives|get|obtain|as|to|therefore|so|thus|hence)\b|:)\s*,?\s*(?P<text>[^:]+)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Equation:
    """One side or two: the name on the left, if there is just a name, and what it equals."""

    name: str
    """`y` or `f(x)`, without spaces; empty without one."""
    value: str
    """The last right-hand side; the whole text if it is no equation, or one of which the left is no name."""
    bare: bool
    """Whether the text is no equation at all."""


def to_latex(text: str) -> str | None:
    """Return the LaTeX of a plain text, or None if words stand in it or numbers just stand side by side."""
    text = _UNIT_TAIL.sub("", text)
    for pattern, new in _REWRITES:
        text = pattern.sub(new, text)
    if is_prose(text) or re.search(r"\d \d|\$", text):  # Math-Verify adds up "3 4"
        return None
    return text.strip()


def is_prose(latex: str) -> bool:
    """Tell whether words of a language stand in `latex`, which Math-Verify would multiply letter by letter."""
    return any(
        word.lower() in _SHORT_WORDS or (len(word) > 2 and word not in ("max", "min"))
        for word in _TEXT.findall(_LETTERS.sub("", latex))
        if not word.startswith("\\")
    )


def is_expression(text: str) -> bool:
    """Tell whether a plain text is mathematics as a whole, as far as can be told without reckoning."""
    try:
        return read_number(text) is not None or read(text) is not None or to_latex(text) is not None
    except TooMuch:
        return True


def stated(prediction: str) -> str | None:
    r"""Return, plain, the expression that a prediction states; None if it is prose with none, or with a denial.

    Prose states what stands in its box, label or "the answer is", or what follows its last "is", "equals" ...
    or colon, if that is an expression up to the end.
    """
    text = _ABOUT.sub("", plain(prediction))
    if (title := _TITLE.match(text)) and not _NEGATED.search(title[0]):  # "Area = 12"
        text = text[title.end() :]
    if is_expression(text):
        return text
    if isinstance(found := read_answer(prediction), Found):
        inner = plain(found.text)
        if inner != text:
            return stated(found.text)
    if _NEGATED.search(text):
        return None
    if tail := _TAIL.search(text.replace("$", " ").replace("\\(", " ").replace("\\)", " ")):
        inner = plain(tail["text"])
        return inner if is_expression(inner) else None
    return None


def equation(text: str) -> Equation:
    """Split a plain text at its equals signs."""
    if "=" not in text:
        return Equation("", text, bare=True)
    text = _OR.sub(", ", text)
    first = text.partition("=")[0].strip()
    if _NAME.fullmatch(first):  # "x = 3 x = 2", from two lines, is no chain either
        text = re.sub(rf"(?<=[^\s,=+*/(-])\s+(?={re.escape(first)}\s*=)", ", ", text)
    sides = [side.strip() for side in re.split(r"(?<![<>!=])=(?!=)", text)]
    if len(sides) == 1:
        return Equation("", text, bare=True)
    if "," in text and len(sides) > 2:  # "x = 1, y = 2" is no chain
        return Equation("", text, bare=False)
    if len(sides) == 2 and _NAME.fullmatch(sides[1]) and not _NAME.fullmatch(sides[0]):  # "3 = x"
        sides.reverse()
    name = sides[0] if _NAME.fullmatch(sides[0]) else ""
    return Equation(name.replace(" ", ""), sides[-1] if name else text, bare=False)


def same_name(left: str, right: str) -> bool:
    """Tell whether two left-hand sides name one thing: equal, or `y` and a function of x."""
    return left == right or (left == "y" and right == "f(x)") or (left == "f(x)" and right == "y")
