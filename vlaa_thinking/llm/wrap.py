"""The nest around a model: Cached(Retrying(Limited(provider))), callables of one shape.

The order is a contract. `Cached` is outermost, so that identical calls under way are one; `Retrying` sleeps
outside `Limited`, so that a waiting call holds no slot; `Limited` sees every attempt.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from typing import TYPE_CHECKING

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from vlaa_thinking.cache import Address, Cache, canonical
from vlaa_thinking.counts import STEP_NAMES, Counts
from vlaa_thinking.errors import ModelError, NoReply, Transient, VlaaError

if TYPE_CHECKING:
    from vlaa_thinking.llm import LLM, Completion, Request

LONGEST_WAIT = 60.0
"""Seconds that the waits between tries grow to."""


class Cached:
    """Answer from the cache; join identical calls under way; record each new reply before it is read."""

    def __init__(self, inner: LLM, cache: Cache, address: Address, counts: Counts) -> None:
        """Keep the answers of `inner` under `address`."""
        self._inner = inner
        self._cache = cache
        self._address = address
        self._counts = counts
        self._under_way: dict[bytes, asyncio.Future[Completion]] = {}

    async def __call__(self, request: Request, /) -> Completion:
        """Answer one request, at most once for money."""
        asked = canonical(request, self._address)
        known = self._cache.get(asked)
        if known is not None:
            self._counts.role(request.role).spared += 1
            return known
        shared = self._under_way.get(asked)
        if shared is not None:
            completion = await asyncio.shield(shared)
            self._counts.role(request.role).spared += 1
            return completion
        shared = self._under_way[asked] = asyncio.get_running_loop().create_future()
        try:
            completion = await self._inner(request)
            self._cache.put(asked, completion)
        except asyncio.CancelledError:
            shared.cancel()
            raise
        except BaseException as exc:
            shared.set_exception(exc)
            shared.exception()  # nobody may be waiting: it is told to our own caller all the same
            raise
        else:
            shared.set_result(completion)
            return completion
        finally:
            del self._under_way[asked]


class Counted:
    """Count the replies that are asked for, and their tokens."""

    def __init__(self, inner: LLM, counts: Counts) -> None:
        """Count the calls of `inner`."""
        self._inner = inner
        self._counts = counts

    async def __call__(self, request: Request, /) -> Completion:
        """Answer one request."""
        completion = await self._inner(request)
        count = self._counts.role(request.role)
        count.made += 1
        count.input_tokens += completion.usage.input_tokens or 0
        count.output_tokens += completion.usage.output_tokens or 0
        return completion


class Retrying:
    """Try again what may pass; tell a model that never answers from a row that found none."""

    def __init__(self, inner: LLM, *, name: str, tries: int, counts: Counts) -> None:
        """Try calls of `inner`, known to the user as `name`, up to `tries` times."""
        self._inner = inner
        self._name = name
        self._counts = counts
        self._answered = False
        self._again = AsyncRetrying(
            retry=retry_if_exception_type(Transient),
            stop=stop_after_attempt(tries),
            wait=_wait,
            before_sleep=self._count,
            sleep=asyncio.sleep,
            reraise=True,
        )

    async def __call__(self, request: Request, /) -> Completion:
        """Answer one request; raises `NoReply`, or `ModelError` if this model never answered at all."""
        try:
            completion: Completion = await self._again(self._inner, request)
        except Transient as exc:
            raise self._without_reply(str(exc)) from exc
        except VlaaError:
            raise
        except Exception as exc:  # a caller's own model may raise anything
            raise self._without_reply(f"{type(exc).__name__}: {exc}") from exc
        if completion.status >= 400 and not self._answered:
            message = f'the model "{self._name}" refused the first call ({completion.status}): {completion.reply.detail}'
            raise ModelError(message)
        self._answered = True
        return completion

    def _without_reply(self, why: str) -> VlaaError:
        if self._answered:
            return NoReply(f'the model "{self._name}" gave no reply: {why}')
        return ModelError(
            f'the model "{self._name}" never answered: {why}; see that its server runs and its base_url is right'
        )

    def _count(self, state: RetryCallState) -> None:
        del state
        self._counts.retries += 1


class Limited:
    """Keep at most so many calls in flight; where calls wait, the later step goes first."""

    def __init__(self, inner: LLM, limit: int) -> None:
        """Let `limit` calls of `inner` through at once."""
        self._inner = inner
        self._free = limit
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    async def __call__(self, request: Request, /) -> Completion:
        """Answer one request when a slot is free."""
        await self._enter(_RANK.get(request.step, 0))
        try:
            return await self._inner(request)
        finally:
            self._leave()

    async def _enter(self, rank: int) -> None:
        if self._free > 0:
            self._free -= 1
            return
        slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (-rank, next(self._order), slot))
        try:
            await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():
                self._leave()  # the slot was handed over at the very moment
            raise

    def _leave(self) -> None:
        while self._waiting:
            slot = heapq.heappop(self._waiting)[2]
            if not slot.done():
                slot.set_result(None)
                return
        self._free += 1


_RANK = {name: rank for rank, name in enumerate(STEP_NAMES)}

_exponential = wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Transient) and error.retry_after is not None:
        return error.retry_after + _exponential(state) * 0.1
    return _exponential(state)
