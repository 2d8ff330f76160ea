"""Mathematics: exact comparison where that decides, Math-Verify in a worker process where it does not."""

from __future__ import annotations

import re
from functools import lru_cache

from vlaa_thinking.checks.algebra import is_number
from vlaa_thinking.checks.algebra import same as same_answer
from vlaa_thinking.checks.latex import Equation, equation, same_name, stated, to_latex
from vlaa_thinking.checks.mentions import is_refusal, numbers_in
from vlaa_thinking.checks.number import Number, conversion, read_number, same, split_unit
from vlaa_thinking.checks.plain import LIMIT, folded, plain
from vlaa_thinking.checks.pool import POOL
from vlaa_thinking.checks.tokens import TooMuch
from vlaa_thinking.record import Gold, Score

_SUMS = re.compile(r"[\d\s.,+\-*/^(){}%]|\\(?:frac|times|cdot|div|sqrt|pi)(?![a-zA-Z])")

LONG = 300
"""Characters of a formula that Math-Verify is still asked about; what is longer and unread by then is no answer."""


def check(prediction: str, gold: Gold) -> Score:
    """Score an expression, an equation or a number, in any notation that means the same.

    May block, up to the pool's limit and its queue: call it in a thread. Answers in prose that state no
    expression, notation that Math-Verify cannot read, and comparisons over the limit are not scored.
    """
    score = exact(prediction, gold)
    return score if score is not None else _ask(prediction, gold)


def exact(prediction: str, gold: Gold) -> Score | None:
    """Score what can be decided without computer algebra; None: `check` would ask a worker. Never blocks."""
    if max(len(prediction), len(gold.answer)) > LIMIT:
        mine = len(prediction) > LIMIT
        return Score(
            value=0.0 if mine else None,
            reason=f"{'The answer' if mine else 'The gold answer'} is longer than {LIMIT:,} characters.",
        )
    text, right = plain(prediction), plain(gold.answer)
    score = _at_once(text, right, gold)
    if score is not None:
        return score
    expression = stated(prediction)
    if expression is None:
        return _prose(text, gold)
    pair = _pair(expression, right)
    return pair if isinstance(pair, Score) else _algebra(*pair, gold)


def _at_once(text: str, right: str, gold: Gold) -> Score | None:
    """Score what needs no reading, or is a number on both sides."""
    if not text or text == "\\boxed{}":
        return Score(value=0.0, reason="The answer is empty.")
    if _key(text) == _key(right):
        return Score(value=1.0, reason="Written as the gold answer is.")
    mine, target = read_number(text), read_number(right)
    return _numbers(mine, target, gold) if mine is not None and target is not None else None


def _pair(expression: str, gold: str) -> tuple[str, str] | Score:
    """Choose what is compared with what: a name that one side leaves out is let pass, another name is not."""
    mine, right = equation(expression), equation(gold)
    unsolved = not (mine.bare or mine.name or "," in mine.value)
    if unsolved and right.bare and not _SUMS.sub("", mine.value.split("=")[0]):  # 1 + 1 + 1 = 3
        return mine.value.rpartition("=")[2].strip(), right.value
    if unsolved and (right.bare or (right.name and is_number(right.value))):
        return Score(value=0.0, reason="An equation to solve, where its solution was asked.")
    readable = (mine.bare or mine.name) and (right.bare or right.name)
    if readable and (not (mine.name and right.name) or same_name(mine.name, right.name)):
        return mine.value, right.value
    return _whole(mine), _whole(right)


def _algebra(mine: str, right: str, gold: Gold) -> Score | None:
    """Compare without Math-Verify, if that decides."""
    if _key(mine) == _key(right):
        return Score(value=1.0, reason="The same right-hand side.")
    numbers = read_number(mine), read_number(right)
    if numbers[0] is not None and numbers[1] is not None:
        return _numbers(numbers[0], numbers[1], gold)
    try:
        mine, right, other_unit = _in_one_unit(mine, right)
        equal = False if other_unit else same_answer(mine, right, gold.tolerance)
    except TooMuch:
        return Score(value=None, reason="A formula too deep or a number too large to reckon with.")
    if equal is None:
        return None
    return Score(value=float(equal), reason="Equal by algebra." if equal else "Not equal by algebra.")


def _in_one_unit(mine: str, right: str) -> tuple[str, str, bool]:
    """Take the units off two expressions, and reckon the first in the second's; True if that cannot be."""
    (left, unit), (target, wanted) = (_measured(side) for side in (mine, right))
    if unit and wanted and unit != wanted:
        factor = conversion(unit, wanted)
        if factor is None:
            return mine, right, True
        left = rf"\frac{{{factor.numerator}}}{{{factor.denominator}}} \cdot ({left})"
    return left, target, False


def _measured(text: str) -> tuple[str, str]:
    """Split off a unit; one letter is one behind a number only ("3√2 m", not "a m")."""
    value, unit = split_unit(text)
    return (value, unit) if unit and (len(unit) > 1 or is_number(value)) else (text, "")


def _numbers(mine: Number, right: Number, gold: Gold) -> Score:
    """Score a number against a number."""
    match same(mine, right, gold.tolerance):
        case True:
            return Score(value=1.0, reason="The same number.")
        case False:
            return Score(value=0.0, reason="Another number.")
        case _:
            return Score(value=None, reason="A percent sign stands on one side only.")


def _prose(text: str, gold: Gold) -> Score:
    """Score a sentence around a number; other prose is not for rules."""
    right = read_number(equation(plain(gold.answer)).value)
    if right is None:
        if folded(text) == folded(gold.answer):  # "No solution"
            return Score(value=1.0, reason="The same words.")
        return Score(value=None, reason="No expression can be read out of the words.")
    found = [] if is_refusal(text) else numbers_in(text)
    values = {mention.number for mention in found if not mention.denied}
    if len(values) == 1:
        return _numbers(values.pop(), right, gold)
    if not values:
        return Score(
            value=0.0, reason="The words state no number." if not found else "Only a number that it is not."
        )
    if not any(same(value, right, gold.tolerance) for value in values):
        return Score(value=0.0, reason="Other numbers.")
    return Score(value=None, reason="Several numbers, none stated as the answer.")


def _ask(prediction: str, gold: Gold) -> Score:
    """Have Math-Verify compare what `exact` left open."""
    pair = _pair(stated(prediction) or plain(prediction), plain(gold.answer))
    if isinstance(pair, Score):
        return pair
    left, target = (to_latex(side) for side in pair)
    if left is None or target is None or max(len(left), len(target)) > LONG:
        return Score(value=None, reason="Math-Verify cannot read it.")
    return POOL.compare(left, target, gold.tolerance)


def _whole(side: Equation) -> str:
    """Put name and value together again."""
    return f"{side.name} = {side.value}" if side.name else side.value


@lru_cache(maxsize=2048)
def _key(text: str) -> str:
    """Take away what never changes an expression's meaning; case does."""
    return re.sub(r"(?<!\d)\s+|\s+(?!\d)|\{(?=\w\})|(?<=\{\w)\}", "", text)
