"""How many calls of a model are in flight: as many as it takes, no more than the user allows.

The limit shrinks (x 0.7 or to what was answered, whichever is more, at most once a round trip) only when more than a
fifth of the attempts of the last round trip were turned away for their rate, and grows by one a round trip otherwise:
a steady few per cent of 429s cost no concurrency, and an endpoint that takes 32 is found in a few round trips. The gate closes for everyone only when
all attempts of a round trip were turned away, or when the server says that nothing is left. 429s may come faster than
replies: while a call still runs that was there when the round trip's first one ended, it may be answered.

A 429 also comes faster than a reply, so that a place above what the endpoint takes would burn through dozens of
attempts in a round trip. The first is put down to chance; where the next call in that place is turned away as well,
the place rests until a reply would have come. So the places above make an attempt a round trip each, as all others do.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import TYPE_CHECKING, NamedTuple

from vlaa_thinking.counts import STEP_NAMES
from vlaa_thinking.errors import ModelError, Transient, Uncharged
from vlaa_thinking.llm.pace import Pace

if TYPE_CHECKING:
    from vlaa_thinking.llm import LLM, Completion, Request
    from vlaa_thinking.llm.pace import Tokens

SHRINK = 0.7
"""What is left of the limit after a round trip with too many 429s, unless more than that were answered in it."""

TOO_MANY = 0.2
"""The share of a round trip's attempts that may be turned away before the limit shrinks."""

CLOSED_FOR = 1.0
"""Seconds that the gate stays closed when a server that turned all away does not say how long."""

CATCHING_UP = 0.1
"""Seconds that a start may come late, for a busy event loop, and still leave the next one at its time."""

_RANK = {name: rank for rank, name in enumerate(STEP_NAMES)}


class _Entry(NamedTuple):
    """A call that was let in."""

    round: int
    """The round trip that it began in."""
    began: float
    """By the event loop's clock."""
    reserved: float
    """Tokens."""
    doubtful: bool
    """Whether the call before it in this place was turned away."""


class Limited:
    """Keep calls within the model's limit; where calls wait, the later step goes first, and in the end the earlier.

    A FIFO semaphore would send every first call before any second: a barrier in disguise. But once no more rows come,
    those furthest behind decide when all have ended: they catch up, so that the last round trips are full ones.
    """

    def __init__(
        self, inner: LLM, limit: int, *, rpm: int | None = None, tokens: Tokens | None = None
    ) -> None:
        """Let at most `limit` calls of `inner` through at once, `rpm` a minute, and as `tokens` has room."""
        self._inner = inner
        self._most = limit
        self._limit = float(limit)
        self._starts = Pace(rpm, slack=CATCHING_UP) if rpm else None
        self._tokens = tokens
        self._in_flight = 0
        self._resting = 0
        """Places that nobody is let into for a while."""
        self._doubtful = 0
        """Free places whose last call was turned away."""
        self._reply_takes: float | None = None
        """Seconds, on average over the last dozen or so."""
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[_Entry], Request]] = []
        self._later_first = True
        self._closed_until = 0.0
        self._stopping = False
        self._broken: ModelError | None = None
        """Why the model cannot be used any more."""
        self._waking: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._finished = 0
        """Attempts of this round trip that have ended."""
        self._turned_away = 0
        """Those of them that got a 429."""
        self._round = 0
        """Which round trip this is, counted from its first end of an attempt."""
        self._older = 0
        """Calls in flight that began before that."""

    @property
    def limit(self) -> int:
        """Calls that may be in flight now."""
        return int(self._limit)

    async def __call__(self, request: Request, /) -> Completion:
        """Answer one request when there is room."""
        entry = await self._enter(request)
        turned_away: Transient | None = None
        try:
            completion = await self._inner(request)
            if self._tokens:
                self._tokens.settle(request, entry.reserved, completion)
            self._note_time(self._since(entry))
        except Transient as exc:
            turned_away = exc if exc.rate_limited else None
            if self._tokens and isinstance(exc, Uncharged):
                self._tokens.give_back(entry.reserved)
            raise
        except ModelError as exc:
            self._break(exc)
            raise
        else:
            return completion
        finally:
            self._leave(entry, turned_away)

    def catch_up(self) -> None:
        """Let the earlier step go first from now on: no more rows come."""
        if self._later_first:
            self._later_first = False
            self._waiting = [(-rank, order, place, request) for rank, order, place, request in self._waiting]
            heapq.heapify(self._waiting)

    async def drain(self, seconds: float) -> None:
        """Let nothing new in, and wait for the calls in flight, at most so long."""
        self._stopping = True
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return

    def _break(self, why: ModelError) -> None:
        """Let nobody in any more: the build ends, and those who wait are told so."""
        self._stopping, self._broken = True, why
        while self._waiting:
            _, _, place, _ = heapq.heappop(self._waiting)
            if not place.done():
                place.set_exception(why)

    async def _enter(self, request: Request) -> _Entry:
        """Wait for room; raises the `ModelError` after which nobody is let in."""
        if self._broken is not None:
            raise self._broken
        if not self._waiting and self._open():
            return self._take(request)
        place: asyncio.Future[_Entry] = asyncio.get_running_loop().create_future()
        rank = _RANK.get(request.step, 0)
        turn = -rank if self._later_first else rank
        heapq.heappush(self._waiting, (turn, next(self._order), place, request))
        self._admit()
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # let in at the very moment it was cancelled
                entry = place.result()
                self._older -= entry.round < self._round
                if self._tokens:
                    self._tokens.give_back(entry.reserved)
                self._doubtful += entry.doubtful
                self._give_back()
            raise

    def _since(self, entry: _Entry) -> float:
        return asyncio.get_running_loop().time() - entry.began

    def _note_time(self, took: float) -> None:
        self._reply_takes = took if self._reply_takes is None else 0.9 * self._reply_takes + 0.1 * took

    def _leave(self, entry: _Entry, turned_away: Transient | None) -> None:
        if self._finished == 0:
            self._round += 1
            self._older = self._in_flight
        self._older -= entry.round < self._round
        self._finished += 1
        self._turned_away += turned_away is not None
        if self._finished >= self._limit - 0.5:
            self._end_round_trip(turned_away)
        if turned_away is not None:
            rest = (self._reply_takes or 0.0) - self._since(entry) if entry.doubtful else 0.0
            if rest > 0:
                self._resting += 1
                asyncio.get_running_loop().call_later(rest, self._rested)
            else:
                self._doubtful += 1
        self._give_back()

    def _rested(self) -> None:
        self._resting -= 1
        self._doubtful += 1
        self._admit()

    def _end_round_trip(self, turned_away: Transient | None) -> None:
        share = self._turned_away / self._finished
        if share > TOO_MANY:
            self._limit = max(1.0, self._limit * SHRINK, float(self._finished - self._turned_away))
        else:
            self._limit = min(float(self._most), self._limit + 1)
        if share == 1 and turned_away is not None and self._older == 0:
            now = asyncio.get_running_loop().time()
            wait = CLOSED_FOR if turned_away.retry_after is None else turned_away.retry_after
            self._closed_until = max(self._closed_until, now + wait)
        self._finished = self._turned_away = 0

    def _open(self) -> bool:
        """Say whether one more call may start now; if time alone forbids it, see to being woken."""
        if self._stopping or self._in_flight + self._resting >= int(self._limit):
            return False
        loop = asyncio.get_running_loop()
        rest: float = getattr(self._inner, "rest_until", 0.0)
        opens = max(self._closed_until, rest)
        if self._starts:
            opens = max(opens, self._starts.opens)
        if self._tokens:
            opens = max(opens, self._tokens.pace.opens)
        if opens <= loop.time():
            return True
        if self._waking is None or self._waking.when() > opens:  # a settled call may bring it forward
            if self._waking is not None:
                self._waking.cancel()
            self._waking = loop.call_at(opens, self._wake)
        return False

    def _wake(self) -> None:
        self._waking = None
        self._admit()

    def _take(self, request: Request) -> _Entry:
        self._in_flight += 1
        self._idle.clear()
        now = asyncio.get_running_loop().time()
        if self._starts:
            self._starts.take(1, now)
        reserved = self._tokens.reserve(request, now) if self._tokens else 0.0
        doubtful = self._doubtful > 0
        self._doubtful -= doubtful
        return _Entry(self._round, now, reserved, doubtful)

    def _give_back(self) -> None:
        self._in_flight -= 1
        if self._in_flight == 0:
            self._idle.set()
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._open():
            _, _, place, request = heapq.heappop(self._waiting)
            if not place.done():
                place.set_result(self._take(request))
