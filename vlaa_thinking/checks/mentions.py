"""Numbers that stand in running text, told apart from parts of other things (`3D`, `3rd`, `x_3`, `10:30`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from vlaa_thinking.checks.number import UNITS, Number, read_number

_DIGITS = re.compile(
    r"(?<![\w.\\^])(?<!\d[,:/])(?<!\^\{)(?<!_\{)"
    r"(?P<sign>(?<![\w)\]}])-)?"
    r"(?:\\frac\{-?\d+\}\{\d+\}|(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:\s?/\s?\d+(?![\d/]))?|\.\d+)"
    r"(?P<unit>\s?%|\s?percent\b|\u00b0|[a-zA-Z]+)?"
    r"(?![\w^]|:\d|[.,]\d|/\d|-[a-zA-Z])"
)
_WORD = re.compile(
    r"(?<![\w-])(?:(?:minus|negative)\s)?(?:zero|none|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
    r"|(?:thir|four|fif|six|seven|eigh|nine)teen|(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
    r"(?:[-\s](?:one|two|three|four|five|six|seven|eight|nine))?)(?:\s(?:hundred|thousand))?(?![\w-]|\s(?:hal[fv]|third|quarter|fourth|fifth|tenth))",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"(?:\b(?:figure|fig|step|table|panel|question|part|section|option|choice|image|equation|eq|problem|number of the)"
    r"\.?|\bno\.|#)\s*\(?$",
    re.IGNORECASE,
)
_OF = re.compile(r"\d\s(?:\w+\s)?of\s(?:the\s|these\s|all\s)?$")  # the 4 in "3 of the 4"
_ITEM = re.compile(r"(?:^|\s)(\d{1,2})[.)](?=\s+\S)")
_VAGUE = frozenset(("one", "none", "zero"))
"""Words that count only where nothing is in digits."""
_PRONOUN = re.compile(
    r"\b(?:the|this|that|which|each|no|any|another|the only|every|other|larger|smaller)\s$", re.IGNORECASE
)
_DENIED = re.compile(
    r"(?:\bnot|n't|\bnor|\bneither|\brather than|\binstead of|\bnever|\banything but|\bother than|\bexcept(?: for)?|\u2260|!=|\\neq?"
    r"|\b(?:more|less|fewer|greater|larger|smaller) than|\bat (?:least|most)|\bover|\bunder|\bup to|\bnearly|\balmost"
    r"|[<>\u2264\u2265]=?|\\[lg]eq?)"
    r"\s*(?:be\s|exactly\s|equal to\s|just\s|only\s|=\s?)?$",
    re.IGNORECASE,
)
_OPEN_END = re.compile(r"\+(?!\s?\d)|\s+or\s+(?:more|less|fewer)\b", re.IGNORECASE)
_SCALED = re.compile(
    r"\s+(?:(?P<scale>hundred|thousand|million|billion|dozen)|pairs?|and\s+a\s+(?:half|quarter|third))\b",
    re.IGNORECASE,
)
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000, "dozen": 12}
_NEGATIVE = re.compile(
    r"(?:^|[^\w)\s]\s*|\b(?:is|are|be|was|equals|to|so|get)\s+)minus\s$|\bnegative\s$", re.IGNORECASE
)
_REFUSAL = re.compile(
    r"\b(?:can(?:not|'t| not)|could(?: not|n't)|unable to|(?:im|not )possible to)\s+(?:be\s+)?(?:reliably\s+)?"
    r"(?:determin|tell|say|know|see|identif|answer|count|comput|calculat|find|solve)\w*|\b(?:do|does)(?: not|n't) know\b"
    r"|\bnot (?:sure|enough information)\b|\b(?:is|are) (?:unknown|undetermined|unclear)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Mention:
    """A number in running text."""

    number: Number
    start: int
    """Characters from the start of the text."""
    end: int
    denied: bool
    """Whether the text says that it is not this ("not 3", "at least 3", "3 or more")."""


def numbers_in(text: str) -> list[Mention]:
    """Return the numbers of a plain text: those in digits or words, in order.

    Left out are labels ("figure 3", "Step 2:", list items), ordinals, names ("B13", "3D"), times, dates and
    exponents; "one" after an article, or beside digits, is a pronoun.
    """
    items = _items(text)
    found = [
        mention
        for match in _DIGITS.finditer(text)
        if not any(match.start() < end <= match.end() + 1 for end in items)
        and (mention := _mention(text, match)) is not None
    ]
    words = [
        mention
        for match in _WORD.finditer(text)
        if not (match[0].lower() in _VAGUE and (found or _one_is_pronoun(text, match)))
        and (mention := _mention(text, match)) is not None
    ]
    return sorted(found + words, key=lambda mention: mention.start)


def _items(text: str) -> set[int]:
    """Return where the numbers of a list end, that begins the text and counts from one."""
    ends: set[int] = set()
    for match in _ITEM.finditer(text):
        if int(match[1]) == len(ends) + 1 and (ends or not match.start()):
            ends.add(match.end())
    return ends


def _mention(text: str, match: re.Match[str]) -> Mention | None:
    """Read one hit; None if it is a label or its letters are no unit."""
    unit = match.groupdict().get("unit") or ""
    before = text[max(0, match.start() - 30) : match.start()]
    if _LABEL.search(before) or _OF.search(before) or (unit.strip() and unit.strip() not in UNITS):
        return None
    scaled = _SCALED.match(text, match.end())
    if scaled and not scaled["scale"]:
        return None
    bare = match[0].removesuffix(unit)
    number = read_number(bare)
    if number is None:
        return None
    if scaled:
        number = Number(number.value * _SCALES[scaled["scale"].lower()], number.unit)
    if "%" in unit or "percent" in unit:
        number = Number(number.value / 100, "%")
    if _NEGATIVE.search(before):
        number = Number(-number.value, number.unit)
    return Mention(
        number,
        match.start(),
        match.end(),
        denied=bool(_DENIED.search(before) or _OPEN_END.match(text, match.end())),
    )


def is_refusal(text: str) -> bool:
    """Tell whether a text says that there is no telling ("cannot be determined")."""
    return bool(_REFUSAL.search(text))


def _one_is_pronoun(text: str, match: re.Match[str]) -> bool:
    """Tell "the one on the left" and "one of them" from "one cube"."""
    before, after = text[max(0, match.start() - 12) : match.start()], text[match.end() : match.end() + 4]
    return bool(_PRONOUN.search(before)) or after.startswith(" of ")


def whole(number: Number) -> int | None:
    """Return the integer that a number is, or None; a percentage is none."""
    if number.unit == "%" or number.value.denominator != 1:
        return None
    return Fraction(number.value).numerator
