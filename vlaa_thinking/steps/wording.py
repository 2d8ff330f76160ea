"""A text as its words, for the rewriter's guard: how many, which numbers, how many were changed."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # kana, Chinese characters
)
"""Scripts that part their words by no spaces: there each character counts as a word."""

_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_RUN = re.compile(r"[\w-]+")
_NAMES = (
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
    "nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million"
)
_SPELT = frozenset(_NAMES.split())


def words(text: str) -> list[str]:
    """Split a text at its spaces; in scripts that have none between words, into characters."""
    return text.split() if text.isascii() else _WORD.findall(text)


def numbers(text: str) -> Counter[str]:
    """Count the numbers of a text, in digits or spelt in English; "one" is mostly a pronoun, and left out."""
    runs = _RUN.findall(text.lower())
    spelt = [run for run in runs if run in _SPELT]
    if "-" in text:  # "twenty-one" counts as twenty
        spelt += [first for run in runs if "-" in run and (first := run.partition("-")[0]) in _SPELT]
    return Counter(_NUMBER.findall(text) + spelt)


def edits(before: Sequence[str], after: Sequence[str], most: int) -> int | None:
    """Count the words to take out of `before` and to put in to get `after`; None if they are more than `most`.

    Myers' greedy algorithm (1986), in time about len(before) + most squared: what two texts have in common costs
    next to nothing.
    """
    if before == after:
        return 0
    if len(set(before) ^ set(after)) > most:  # each of these words was taken out or put in
        return None
    old, new = len(before), len(after)
    furthest = {1: 0}
    """By diagonal (place in `before` less place in `after`): how far in `before` one gets with so many edits."""
    for count in range(most + 1):
        for diagonal in range(-count, count + 1, 2):
            down = furthest.get(diagonal + 1, -1)
            right = furthest.get(diagonal - 1, -2) + 1
            x = max(down, right)
            y = x - diagonal
            while x < old and y < new and before[x] == after[y]:
                x += 1
                y += 1
            furthest[diagonal] = x
            if x >= old and y >= new:
                return count
    return None
