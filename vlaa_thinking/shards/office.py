"""The one place of a cluster's build that all its workers know: they tell it how far they are, and borrow from it."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from vlaa_thinking.counts import CallCount, Counts, StepCount
from vlaa_thinking.shards.sharing import Purse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TELL_EVERY = 0.5
"""Seconds between two words of a worker."""

_CALLS = tuple(name for name in CallCount.__slots__ if not name.startswith("answers"))


class Office:
    """An actor of Ray; its methods run one after the other."""

    def __init__(self, budget: float | None) -> None:
        """Lend from `budget`."""
        self._purse = Purse(budget)
        self._told: dict[str, dict[str, Any]] = {}
        self._nodes: dict[str, str] = {}

    def begin(self, worker: str, node: str) -> None:
        """Note on which node a worker is."""
        self._nodes[worker] = node

    def tell(self, worker: str, counts: dict[str, Any]) -> None:
        """Note how far a worker is."""
        self._told[worker] = counts

    def lend(self, worker: str, asked: float) -> float:
        """Lend a worker US dollars; 0 where so much is not left."""
        return self._purse.lend(worker, asked)

    def settle(self, worker: str, spent: float) -> None:
        """Note what a worker that has ended spent in all."""
        self._purse.settle(worker, spent)

    def left(self) -> float | None:
        """Say what is left of the budget."""
        return self._purse.left

    def look(self) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        """Give what every worker told last, and where it is."""
        return self._told, self._nodes


class Teller:
    """A worker's `watch`: tells the office now and then, and never waits for it."""

    def __init__(self, office: Any, worker: str) -> None:  # noqa: ANN401 - a handle of an actor
        """Speak for `worker`."""
        self._office = office
        self._worker = worker
        self._last = 0.0

    def __call__(self, counts: Counts) -> None:
        """Tell, if it is time."""
        if time.monotonic() - self._last >= TELL_EVERY:
            self._last = time.monotonic()
            self._office.tell.remote(self._worker, told(counts))


def told(counts: Counts) -> dict[str, Any]:
    """Write counts down."""
    return {
        "steps": {name: asdict(step) for name, step in counts.steps.items()},
        "calls": {role: asdict(count) for role, count in counts.calls.items()},
        "retries": counts.retries,
        "expected": counts.expected,
    }


def gathered(counts: Counts, said: Mapping[str, Mapping[str, Any]], latest: Iterable[str]) -> None:
    """Sum what workers told into `counts`: rows of the `latest` of each shard, calls and money of all of them."""
    counts.steps = {name: StepCount() for name in counts.steps}
    counts.calls = {}
    counts.retries = 0
    expected = 0
    now = set(latest)
    for worker, one in said.items():
        counts.retries += one["retries"]
        for role, ran in one["calls"].items():
            count = counts.role(role)
            for name in _CALLS:
                setattr(count, name, getattr(count, name) + ran[name])
        if worker not in now:
            continue
        expected += one["expected"] or 0
        for name, seen in one["steps"].items():
            step = counts.steps[name]
            for field, number in seen.items():
                setattr(step, field, getattr(step, field) + number)
    counts.expected = max(expected, counts.expected or 0) or None
