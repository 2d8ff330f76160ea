"""What scores an `open` answer that no rule can decide: the protocol, and a scorer without a model."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from vlaa_thinking.checks.open import THRESHOLD, anls, figures
from vlaa_thinking.checks.plain import LIMIT, folded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vlaa_thinking.record import Gold

_SIGN = re.compile(r"[\u20ac\u00a3\u00a5%]")
_WORD = re.compile(rf"\w+(?:['.,]\w+)*|{_SIGN.pattern}")
_ARTICLES = frozenset(("a", "an", "the"))
_DENIALS = frozenset(("no", "not", "never", "without", "neither", "nor", "cannot"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One answer to be scored."""

    row: str
    """The row's id, or its question where it has none."""
    question: str
    answer: str
    """What stands in the answer block; the reasoning is never scored."""
    gold: Gold
    image: object = None
    """The row's image as TRL hands it over, a Pillow image; None where there is none."""


class Scorer(Protocol):
    """Anything that scores open answers."""

    @property
    def bounded(self) -> bool:
        """Whether scores lie in [0, 1] and nothing beats the gold answer, so that they are rewards as they are.

        Otherwise the scale is the scorer's own, and the reward is what an answer has over the gold answer.
        """
        ...

    async def __call__(self, asks: Sequence[Ask], /) -> Sequence[float | None]:
        """Score answers, one number for each; None: this one cannot be scored."""
        ...


class Lexical:
    """Likeness of words to the nearest accepted string: token F1 (as SQuAD has it), or ANLS (DocVQA) if higher.

    ANLS forgives slips of spelling, and is asked only where the source lists accepted strings, which are short, and
    where no figure makes the difference.
    Meaning is not understood: a paraphrase scores low. A denial on one side only scores 0.
    """

    bounded = True

    async def __call__(self, asks: Sequence[Ask], /) -> Sequence[float | None]:
        """Score answers in [0, 1]."""
        return [likeness(ask.answer, ask.gold) for ask in asks]


def likeness(answer: str, gold: Gold) -> float:
    """Return how like an answer's words are to those of the nearest accepted string; a number in [0, 1]."""
    if len(answer) > LIMIT:
        return 0.0
    text = folded(answer)
    best = max(_f1(text, folded(accepted)) for accepted in gold.answers or (gold.answer,))
    others = [folded(accepted) for accepted in gold.answers]
    alike = [other for other in others if _agree(text, other) and _figures(text) == _figures(other)]
    near = [closeness for other in alike if (closeness := anls(text, other)) >= THRESHOLD]
    return max([best, *near])


def _figures(text: str) -> frozenset[str]:
    """Return the numbers of a folded text, and the signs of money and percent."""
    return figures(text) | frozenset(_SIGN.findall(text))


def _f1(text: str, target: str) -> float:
    """Return the harmonic mean of precision and recall over words."""
    if not _agree(text, target):
        return 0.0
    mine, right = _words(text), _words(target)
    shared = (mine & right).total()
    return 2 * shared / (mine.total() + right.total()) if shared else 0.0


def _agree(text: str, target: str) -> bool:
    """Tell whether both deny, in the same words, or none does."""
    return (_DENIALS & _words(text).keys()) == (_DENIALS & _words(target).keys())


def _words(text: str) -> Counter[str]:
    """Count the words of a folded text, without articles."""
    found = Counter(_WORD.findall(text.replace("n't", " not")))
    return Counter({word: count for word, count in found.items() if word not in _ARTICLES})
