"""Whole numbers: "3", "three", "There are 3 objects remaining."."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import pairwise

from vlaa_thinking.checks.algebra import constant
from vlaa_thinking.checks.answer import Found, read_answer
from vlaa_thinking.checks.mentions import Mention, is_refusal, numbers_in, whole
from vlaa_thinking.checks.number import Number, read_number
from vlaa_thinking.checks.plain import LIMIT, plain
from vlaa_thinking.record import Gold, Score

_CUE = re.compile(
    r"\b(?:so|therefore|thus|hence|leav(?:es|ing)|equals|gives|(?:a )?total (?:of|is)|(?:final )?answer is)\b",
    re.IGNORECASE,
)
_EITHER = re.compile(r"\s*,?\s*(?:\bor\b|/|\bto\b|-|\()\s*(?:\bmaybe\b\s*)?", re.IGNORECASE)
_TIMES = re.compile(r"(?<=\d)\s*[xX]\s*(?=\d)")
_BETWEEN = re.compile(r"\bbetween\b.+\band\b", re.IGNORECASE)
_CHANGE = re.compile(r"\bfrom\b.+\bto\b", re.IGNORECASE)
_NOTHING = re.compile(
    r"\bthere (?:are|is|will be) no\b|\bno (?:\w+ ){1,2}(?:are left|is left|left|remain)", re.IGNORECASE
)
_LEFT = re.compile(r"[^.,;\d]{0,30}?\b(?:remain|(?:are|is|be) left\b)", re.IGNORECASE)


def check(prediction: str, gold: Gold) -> Score:
    """Score an integer, in digits or words, alone or in a sentence that leaves no doubt which is meant.

    A sentence with several different numbers is right only if a last clause ("so 3 remain", "= 3") states one;
    else it is wrong if the gold number is not among them or alternatives are offered, and not scored if it is.
    """
    if len(prediction) > LIMIT:
        return Score(value=0.0, reason=f"Longer than {LIMIT:,} characters.")
    right = read_integer(gold.answer)
    if right is None:
        return Score(value=None, reason="The gold answer is no integer.")
    text = _statement(prediction)
    if (number := _reckoned(text)) is not None:
        return _compare(number, right)
    mentions = [] if is_refusal(text) else numbers_in(text)
    values = {mention.number for mention in mentions if not mention.denied}
    if not mentions and _NOTHING.search(text):
        values = {Number(Fraction(0))}
    if len(values) == 1:
        return _compare(values.pop(), right)
    if values:
        return _several(text, mentions, right)
    return Score(value=0.0, reason="Only says what it is not." if mentions else "States no number.")


def read_integer(text: str) -> int | None:
    """Read a text that is one integer as a whole ("3", " 3.0", "three"), or None."""
    number = read_number(text)
    return whole(number) if number is not None else None


def _reckoned(text: str) -> Number | None:
    """Read a text that is a number, or a sum that gives one."""
    number = read_number(text)
    if number is None and "!" not in text and (value := constant(_TIMES.sub("*", text))) is not None:
        return Number(value)
    return number


def _statement(prediction: str) -> str:
    """Return the part that states the answer: a box, a label, "the answer is", or what the last `=` gives."""
    found = read_answer(prediction)
    text = plain(found.text if isinstance(found, Found) else prediction)
    tail = text.rpartition("=")[2]
    return tail.strip() if numbers_in(tail) or read_number(tail) is not None else text


def _compare(number: Number, right: int) -> Score:
    """Score the one number that the prediction states."""
    value = whole(number)
    if value is None:
        return Score(value=0.0, reason="Not a whole number.")
    return Score(
        value=float(value == right),
        reason=f"Says {value:,}." if abs(value) < 10**12 else "Says a huge number.",
    )


def _within(text: str, place: int) -> bool:
    """Tell whether a place lies in brackets, among words."""
    opened = text.rfind("(", 0, place)
    inside = opened >= 0 and ")" not in text[opened:place]
    return inside and bool(re.search(r"[a-z]", text[opened:].partition(")")[0]))


def _several(text: str, mentions: list[Mention], right: int) -> Score:
    """Score a text with several different numbers."""
    kept = [mention for mention in mentions if not mention.denied]
    for cue in reversed(list(_CUE.finditer(text))):
        last = {mention.number for mention in kept if mention.start >= cue.end()}
        if len(last) == 1:
            return _compare(last.pop(), right)
        if last:
            break
    outside = {mention.number for mention in kept if not _within(text, mention.start)}
    if len(outside) == 1:
        return _compare(outside.pop(), right)
    remaining = {mention.number for mention in kept if _LEFT.match(text, mention.end)}
    if len(remaining) == 1:
        return _compare(remaining.pop(), right)
    if right not in {whole(mention.number) for mention in kept}:
        return Score(value=0.0, reason="Other numbers.")
    gaps = (text[left.end : later.start] for left, later in pairwise(kept))
    offers = _BETWEEN.search(text) or (
        not _CHANGE.search(text) and any(_EITHER.fullmatch(gap) for gap in gaps)
    )
    if offers or not re.search(r"[a-zA-Z]", text):
        return Score(value=0.0, reason="Offers several numbers.")
    return Score(value=None, reason="Several numbers, none stated as the answer.")
