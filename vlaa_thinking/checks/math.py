"""Mathematics: exact comparison where that decides, Math-Verify in a worker process where it does not."""

from __future__ import annotations

import re

from vlaa_thinking.checks.latex import Equation, equation, same_name, stated, to_latex
from vlaa_thinking.checks.mentions import numbers_in
from vlaa_thinking.checks.number import Number, read_number, same
from vlaa_thinking.checks.plain import LIMIT, plain
from vlaa_thinking.checks.pool import POOL
from vlaa_thinking.record import Gold, Score

_SUMS = re.compile(r"[\d\s.,+\-*/^(){}%]|\\(?:frac|times|cdot|div|sqrt|pi)(?![a-zA-Z])")


def check(prediction: str, gold: Gold) -> Score:
    """Score an expression, an equation or a number, in any notation that means the same.

    May block, up to the pool's limit and its queue: call it in a thread. Answers in prose that state no
    expression, notation that Math-Verify cannot read, and comparisons over the limit are not scored.
    """
    score = exact(prediction, gold)
    return score if score is not None else _ask(prediction, gold)


def exact(prediction: str, gold: Gold) -> Score | None:
    """Score what can be decided without computer algebra; None: `check` would ask a worker. Never blocks."""
    if len(prediction) > LIMIT:
        return Score(value=0.0, reason=f"Longer than {LIMIT:,} characters.")
    text, right = plain(prediction), plain(gold.answer)
    if not text:
        return Score(value=0.0, reason="The answer is empty.")
    if _key(text) == _key(right):
        return Score(value=1.0, reason="Written as the gold answer is.")
    expression = stated(prediction)
    number = read_number(text)
    if number is None and expression is None:
        return _prose(text, gold)
    if number is not None and (target := read_number(right)) is not None:
        return _numbers(number, target, gold)
    return _sides(equation(expression or text), equation(right), gold)


def _sides(mine: Equation, right: Equation, gold: Gold) -> Score | None:
    """Compare as equations: a name that one side leaves out is let pass, another name is not."""
    if right.bare and not mine.bare and not mine.name and "," not in mine.value:
        left = mine.value.split("=")[0]
        if _SUMS.sub("", left):
            return Score(value=0.0, reason="An equation to solve, where its solution was asked.")
        mine = Equation("", mine.value.rpartition("=")[2].strip(), bare=True)
    if not _comparable(mine, right):
        return None
    if _key(mine.value) == _key(right.value):
        return Score(value=1.0, reason="The same right-hand side.")
    numbers = read_number(mine.value), read_number(right.value)
    if numbers[0] is not None and numbers[1] is not None:
        return _numbers(numbers[0], numbers[1], gold)
    return None


def _comparable(mine: Equation, right: Equation) -> bool:
    """Tell whether the two values answer for the whole."""
    if mine.name and right.name:
        return same_name(mine.name, right.name)
    return (mine.bare or bool(mine.name)) and (right.bare or bool(right.name))


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
        return Score(value=None, reason="No expression can be read out of the words.")
    found = numbers_in(text)
    values = {mention.number for mention in found if not mention.denied}
    if len(values) == 1:
        return _numbers(values.pop(), right, gold)
    if not values:
        return Score(
            value=0.0, reason="The words hold no number." if not found else "Only a number that it is not."
        )
    if not any(same(value, right, gold.tolerance) for value in values):
        return Score(value=0.0, reason="Other numbers.")
    return Score(value=None, reason="Several numbers, none stated as the answer.")


def _ask(prediction: str, gold: Gold) -> Score:
    """Have Math-Verify compare what `exact` left open."""
    mine, right = equation(stated(prediction) or plain(prediction)), equation(plain(gold.answer))
    if mine.name and right.name and same_name(mine.name, right.name):
        pair = mine.value, right.value
    elif right.bare and not mine.bare:
        pair = (
            mine.value.rpartition("=")[2] if not mine.name and "," not in mine.value else mine.value,
            right.value,
        )
    else:
        pair = _whole(mine), _whole(right)
    left, target = to_latex(pair[0]), to_latex(pair[1])
    if left is None or target is None:
        return Score(value=None, reason="Math-Verify cannot read it.")
    return POOL.compare(left, target, gold.tolerance)


def _whole(side: Equation) -> str:
    """Put name and value together again."""
    return f"{side.name} = {side.value}" if side.name else side.value


def _key(text: str) -> str:
    """Take away what never changes an expression's meaning; case does."""
    return re.sub(r"(?<!\d)\s+|\s+(?!\d)|\{(?=\w\})|(?<=\{\w)\}", "", text)
