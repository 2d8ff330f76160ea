"""How sure a forecast from a sample is, in US dollars."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class Foretold:
    """Rows of unknown cost, and the costs of the known rows that speak for them."""

    by: int
    """Which known rows these are: those that are the same are wrong together."""
    rows: float
    costs: tuple[float, ...]
    """US dollars, of each known row from the step on at which the others are open."""


def half_width(parts: Iterable[Foretold]) -> float | None:
    """Return by how much the sum may be off on either side, 19 times out of 20; None where too little is known.

    The means of the known rows are off, each in the same direction for all rows that rest on it; and each row that is
    foretold lies off its mean by itself.
    """
    means: dict[int, float] = defaultdict(float)
    known: dict[int, int] = defaultdict(int)
    alone = 0.0
    for part in parts:
        if len(part.costs) < 2:
            return None
        variance = statistics.variance(part.costs)
        means[part.by] += part.rows * sqrt(variance / len(part.costs))
        known[part.by] = max(known[part.by], len(part.costs))
        alone += part.rows * variance
    if not known:
        return 0.0
    return student(sum(known.values()) - len(known)) * sqrt(sum(m * m for m in means.values()) + alone)


def student(degrees: int) -> float:
    """Return how many standard errors from the mean 95 % lie, for so many degrees of freedom.

    Student's t at 0.975 by the expansion of Cornish and Fisher; from 5 degrees on right to half a per cent.
    """
    z = statistics.NormalDist().inv_cdf(0.975)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    n = float(degrees)
    return z + first / n + second / (n * n) + third / (n * n * n)
