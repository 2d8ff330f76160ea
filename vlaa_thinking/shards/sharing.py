"""What workers of one build share: a model's limits, each its own part of them, and a budget, lent in small sums."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vlaa_thinking.settings import Model, Settings

Lend = Callable[[float], Awaitable[float]]
"""Asked for US dollars, gives as many or more, or 0."""

LEASE = 0.01
"""What is lent at once, as a share of the budget: so much a worker that is killed may leave unspent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One of the parts into which limits are divided; together they are the whole, whoever is at work."""

    place: int
    """From 0."""
    places: int

    def of(self, limit: int) -> int:
        """Divide a limit; what does not divide goes to the first places."""
        return limit // self.places + (self.place < limit % self.places)

    def model(self, model: Model) -> Model:
        """Return a model with this part of its limits."""
        return replace(
            model,
            max_concurrency=self.of(model.max_concurrency),
            rpm=None if model.rpm is None else self.of(model.rpm),
            tpm=None if model.tpm is None else self.of(model.tpm),
        )

    def settings(self, settings: Settings) -> Settings:
        """Return settings whose models have this part of their limits."""
        return replace(settings, models={name: self.model(m) for name, m in settings.models.items()})


def places_for(models: Iterable[Model], wanted: int) -> int:
    """Say into how many parts limits can be divided, so that each has some: no more than `wanted`, at least one."""
    limits = [n for m in models for n in (m.max_concurrency, m.rpm, m.tpm) if n is not None]
    return max(1, min([wanted, *limits]))


class Purse:
    """A budget, lent to workers; what one of them is known to have spent, or still holds, is gone."""

    def __init__(self, most: float | None) -> None:
        """Lend `most` US dollars in all; None: whatever is asked."""
        self._most = most
        self._out: dict[str, float] = {}

    def lend(self, who: str, asked: float) -> float:
        """Lend at least what is asked, or nothing."""
        if self._most is None:
            return asked
        left = self._most - sum(self._out.values())
        if asked > left:
            return 0.0
        lent = min(left, max(asked, LEASE * self._most))
        self._out[who] = self._out.get(who, 0.0) + lent
        return lent

    def settle(self, who: str, spent: float) -> None:
        """Take back what a worker did not spend; `who` is that worker, this time."""
        if who in self._out:
            self._out[who] = spent

    @property
    def left(self) -> float | None:
        """What is neither spent nor lent."""
        return None if self._most is None else max(0.0, self._most - sum(self._out.values()))
