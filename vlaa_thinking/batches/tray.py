"""The requests that wait to be sent in a batch, and when it is time to send them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Iterator

    from vlaa_thinking.batches.account import Asker
    from vlaa_thinking.counts import Counts
    from vlaa_thinking.llm import Completion, Request
    from vlaa_thinking.settings import BatchRule

QUIET = 2.0
"""Seconds in which nothing has moved, after which nothing else will: all rows under way wait for batches."""


@dataclass(slots=True, eq=False)
class Call:
    """One request that somebody waits for."""

    asker: Asker
    request: Request
    key: bytes
    asked: bytes
    """The request in canonical form."""
    answer: Future[Completion]
    since: float = field(default_factory=time.monotonic)
    """Since when it waits to be sent."""
    tries: int = 0
    """Batches that it was in and got no reply from."""

    @property
    def size(self) -> int:
        """About how many bytes it has, with its images in base64."""
        return sum(len(m.text) + sum(i.length * 4 // 3 for i in m.images) for m in self.request.messages)


class Tray:
    """Waiting requests, the oldest first."""

    def __init__(self, rule: BatchRule, counts: Counts) -> None:
        """Gather by `rule`; `counts` tell whether the build still goes on without these requests."""
        self._rule = rule
        self._counts = counts
        self._calls: dict[bytes, Call] = {}
        self._bytes = 0
        self._moves: tuple[int, ...] = ()
        self._moved = time.monotonic()

    def __len__(self) -> int:
        """Count the waiting requests."""
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        """Give them, the oldest first; the tray may change meanwhile."""
        return iter(list(self._calls.values()))

    def put(self, call: Call) -> None:
        """Let a request wait."""
        call.since = time.monotonic()
        self._calls[call.key] = call
        self._bytes += call.size

    def take(self, key: bytes) -> None:
        """Take a request away, if it is there."""
        call = self._calls.pop(key, None)
        if call is not None:
            self._bytes -= call.size

    @property
    def oldest(self) -> float:
        """For how many seconds the oldest one waits."""
        return time.monotonic() - next(iter(self._calls.values())).since

    def is_due(self) -> bool:
        """Whether a batch is worth it now: count, bytes or age are reached, or nothing else can go on."""
        now = time.monotonic()
        if self._moves != (moves := self._counts.moves):
            self._moves, self._moved = moves, now
        if not self._calls:
            return False
        rule = self._rule
        if len(self._calls) >= rule.count or self._bytes >= rule.bytes or self.oldest >= rule.age:
            return True
        still = not self._counts.reading and not self._counts.asking
        return still and now - self._moved >= min(QUIET, rule.age)
