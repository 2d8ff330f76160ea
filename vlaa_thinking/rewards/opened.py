"""From a scorer's numbers to rewards of `open` answers (paper, section 4)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from vlaa_thinking.errors import SetupError
from vlaa_thinking.record import Score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vlaa_thinking.rewards.scorers import Ask, Scorer

BETA = 0.2
"""The paper names none; this is that of ScoreRS, which it cites for the formula."""


class OpenReward:
    """Rewards by a scorer: its score itself where that is bounded, else what an answer has over the gold one."""

    def __init__(self, scorer: Scorer, beta: float = BETA) -> None:
        """Reward by `scorer`; raises `SetupError` unless `beta` is positive."""
        if not 0 < beta < math.inf:
            raise SetupError(f"beta is {beta}: it must be a positive number")
        self._scorer = scorer
        self._beta = beta
        self._gold_scores: dict[tuple[str, str], float | None] = {}
        """By question and gold answer: of each row once, however often it is answered."""

    async def __call__(self, asks: Sequence[Ask]) -> list[Score]:
        """Return a reward in [0, 1] for each ask; None where the scorer gives no number."""
        if not asks:
            return []
        if self._scorer.bounded:
            return [self._as_it_is(value) for value in await self._numbers(asks)]
        new = {_key(ask): _of_gold(ask) for ask in asks if _key(ask) not in self._gold_scores}
        numbers = await self._numbers([*asks, *new.values()])
        self._gold_scores |= zip(new, numbers[len(asks) :], strict=True)
        return [
            self._over_gold(value, self._gold_scores[_key(ask)])
            for ask, value in zip(asks, numbers, strict=False)
        ]

    async def _numbers(self, asks: Sequence[Ask]) -> list[float | None]:
        """Ask the scorer; a number that is not finite is none."""
        numbers = list(await self._scorer(asks))
        if len(numbers) != len(asks):
            raise SetupError(f"{self._name} gave {len(numbers)} scores for {len(asks)} answers")
        return [n if n is not None and math.isfinite(n) else None for n in numbers]

    def _as_it_is(self, value: float | None) -> Score:
        if value is None:
            return Score(value=None, reason="The scorer gave no score.", how=self._name)
        if not 0 <= value <= 1:
            raise SetupError(f"{self._name} says that its scale is bounded, and gave {value}, not in [0, 1]")
        return Score(value=value, reason=f"Scored {value:.2f}.", how=self._name)

    def _over_gold(self, value: float | None, gold: float | None) -> Score:
        if value is None or gold is None:
            what = "answer" if value is None else "gold answer"
            return Score(value=None, reason=f"The scorer gave no score to the {what}.", how=self._name)
        reward = max(0.0, -math.expm1(-self._beta * (value - gold)))
        return Score(value=reward, reason=f"Scored {value:.2f}, the gold answer {gold:.2f}.", how=self._name)

    @property
    def _name(self) -> str:
        return type(self._scorer).__name__


def _key(ask: Ask) -> tuple[str, str]:
    return ask.row, ask.gold.answer


def _of_gold(ask: Ask) -> Ask:
    """Return the gold answer as one to be scored."""
    return replace(ask, answer=ask.gold.answer)
