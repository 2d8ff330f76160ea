"""The nest around a model: Cached(Counted(Retrying(Limited(Budgeted(provider))))), callables of one shape.

The order is a contract. `Cached` is outermost, so that identical calls under way are one; `Retrying` sleeps
outside `Limited`, so that a waiting call holds no slot; `Limited` and `Budgeted` see every attempt.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from vlaa_thinking.cache import Address, Cache, canonical, key_of
from vlaa_thinking.errors import ModelError, NoReply, Transient, VlaaError
from vlaa_thinking.llm import Completion
from vlaa_thinking.prices import cost

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from vlaa_thinking.counts import CallCount, Counts
    from vlaa_thinking.llm import LLM, Request
    from vlaa_thinking.prices import Price

LONGEST_WAIT = 60.0
"""Seconds that the waits between tries grow to."""

SILENT_CALLS = 30
SILENT_SECONDS = 60.0
"""A model none of whose last so many attempts succeeded, for so long, stops the build."""


class Standing:
    """What a model ever answered: in this build, or in one whose answers are recorded."""

    def __init__(
        self, recorded: Callable[[], bool], took: Callable[[Request], bool] = lambda _: False
    ) -> None:
        """Where this build knows of no answer, ask `recorded`; and of one to parameters like these, `took`."""
        self._recorded = recorded
        self._took = took
        self._answered = False
        self._steps: set[str] = set()
        """Steps that were answered: in one build all requests of a step have the same parameters."""

    def note(self, request: Request) -> None:
        """Note that the model has answered."""
        self._answered = True
        self._steps.add(request.step)

    @property
    def answered(self) -> bool:
        """Whether it ever answered."""
        self._answered = self._answered or self._recorded()
        return self._answered

    def takes(self, request: Request) -> bool:
        """Whether it ever answered a request with such parameters, so that a refusal must be for what was asked."""
        return request.step in self._steps or self._took(request)


class Cached:
    """Answer from the cache; join identical calls under way; record each new reply before it is read."""

    def __init__(
        self,
        inner: LLM,
        cache: Cache,
        address: Address,
        *,
        price: Price | None,
        counts: Counts,
        again: Collection[str] = (),
        longer: Callable[[Request], Request | None] = lambda _: None,
    ) -> None:
        """Keep the answers of `inner` under `address`; `price` says what a spared one would have cost.

        Stored replies that ended in a state of `again` are asked for anew, each once; not so a truncated one that
        the `longer` request after it made good.
        """
        self._inner = inner
        self._cache = cache
        self._address = address
        self._price = price
        self._counts = counts
        self._again = frozenset(again)
        self._longer = longer
        self._rested_on = counts.rested_on
        self._under_way: dict[bytes, asyncio.Future[Completion]] = {}

    async def __call__(self, request: Request, /) -> Completion:
        """Answer one request, at most once for money."""
        asked = canonical(request, self._address)
        key = key_of(asked)
        known = self._cache.get(key)
        if known is not None and not (self._again and self._is_outdated(key, request, known)):
            self._rest_on(key, request, known)
            self._spare(request, known)
            return known
        shared = self._under_way.get(key)
        if shared is not None:
            completion = await asyncio.shield(shared)
            self._spare(request, completion)
            return completion
        shared = self._under_way[key] = asyncio.get_running_loop().create_future()
        try:
            completion = await self._inner(request)
            await self._cache.record(
                key, asked, completion, who=self._address.who(request.params.get("model"))
            )
        except asyncio.CancelledError:
            shared.cancel()
            raise
        except BaseException as exc:
            shared.set_exception(exc)
            shared.exception()  # nobody may be waiting: it is told to our own caller all the same
            raise
        else:
            shared.set_result(completion)
            self._rest_on(key, request, completion)
            return completion
        finally:
            del self._under_way[key]

    def _is_outdated(self, key: bytes, request: Request, known: Completion) -> bool:
        """Whether a stored reply ended its row's way in a state to be asked for anew, and this build has not yet."""
        if known.state not in self._again or key in self._rested_on:
            return False
        further = self._longer(request) if known.state == "truncated" else None
        later = self._cache.get(key_of(canonical(further, self._address))) if further else None
        return later is None or later.status >= 400 or later.state in self._again

    def _spare(self, request: Request, completion: Completion) -> None:
        count = self._counts.role(request.role)
        count.spared += 1
        count.saved += cost(self._price, completion.usage) or 0.0

    def _rest_on(self, key: bytes, request: Request, completion: Completion) -> None:
        if key in self._rested_on:
            return
        self._rested_on.add(key)
        count, usage = self._counts.role(request.role), completion.usage
        count.answers += 1
        count.answers_input_tokens += usage.input_tokens or 0
        count.answers_output_tokens += usage.output_tokens or 0
        count.answers_uncounted += usage.input_tokens is None or usage.output_tokens is None


class Counted:
    """Count the replies that are asked for, and their tokens."""

    def __init__(self, inner: LLM, counts: Counts) -> None:
        """Count the calls of `inner`."""
        self._inner = inner
        self._counts = counts

    async def __call__(self, request: Request, /) -> Completion:
        """Answer one request."""
        self._counts.asking += 1
        try:
            completion = await self._inner(request)
        finally:
            self._counts.asking -= 1
        count_made(self._counts.role(request.role), completion)
        return completion


def count_made(count: CallCount, completion: Completion) -> None:
    """Count a reply that was asked for."""
    count.made += 1
    count.input_tokens += completion.usage.input_tokens or 0
    count.output_tokens += completion.usage.output_tokens or 0


class Retrying:
    """Try again what may pass; tell a model that does not answer at all from a row that found no answer.

    The first call of each role goes alone, and the others of that role wait for its reply: a wrong set-up costs
    one call and one latency.
    """

    def __init__(
        self,
        inner: LLM,
        *,
        name: str,
        hint: str,
        tries: int,
        standing: Standing,
        counts: Counts,
        silence: tuple[int, float] = (SILENT_CALLS, SILENT_SECONDS),
    ) -> None:
        """Try calls of `inner`, known to the user as `name`, up to `tries` times; `hint` says what to look at.

        A model none of whose last `silence` attempts succeeded, for so many seconds, stops the build.
        """
        self._hint = hint
        self._silence = silence
        self._inner = inner
        self._name = name
        self._counts = counts
        self._standing = standing
        self._last_success = time.monotonic()
        self._failures = 0
        """Attempts that failed since the last success."""
        self._firsts: dict[str, asyncio.Future[None]] = {}
        """By role: done when its first call has ended, with the error if the model cannot be used."""
        self._again = AsyncRetrying(
            retry=retry_if_exception_type(Transient),
            stop=stop_after_attempt(tries),
            wait=between_tries,
            after=self._failed,
            before_sleep=self._count,
            sleep=asyncio.sleep,
            reraise=True,
        )

    async def __call__(self, request: Request, /) -> Completion:
        """Answer one request; raises `NoReply`, or `ModelError` if this model does not answer at all."""
        first = self._firsts.get(request.role)
        if first is not None:
            await asyncio.shield(first)
            return await self._ask(request)
        first = self._firsts[request.role] = asyncio.get_running_loop().create_future()
        try:
            return await self._ask(request)
        except ModelError as exc:
            first.set_exception(exc)
            first.exception()  # nobody may be waiting
            raise
        finally:
            if not first.done():
                first.set_result(None)

    async def _tried(self, request: Request) -> object:
        """Make the first attempt plainly; only where it fails is tenacity set up, and told of it as its first."""
        try:
            return await self._inner(request)
        except Transient as exc:
            failed = [exc]

        async def attempt() -> object:
            if failed:
                raise failed.pop()
            return await self._inner(request)

        return await self._again(attempt)

    async def _ask(self, request: Request) -> Completion:
        try:
            completion: object = await self._tried(request)
        except Transient as exc:
            raise self._without_reply(str(exc)) from exc
        except VlaaError:
            raise
        except Exception as exc:  # a caller's own model may raise anything
            raise self._without_reply(f"{type(exc).__name__}: {exc}") from exc
        if not isinstance(completion, Completion):
            what = type(completion).__name__
            raise ModelError(f'the model "{self._name}" returned a {what}, not a Completion')
        if completion.status >= 400 and not self._standing.takes(request):
            raise refused_first(self._name, request, completion, ours=bool(self._hint))
        if completion.status < 400:
            self._standing.note(request)
        self._last_success, self._failures = time.monotonic(), 0
        return completion

    def _failed(self, state: RetryCallState) -> None:
        """Count a failed attempt, and stop the build where a model has gone silent."""
        self._failures += 1
        silent = time.monotonic() - self._last_success
        attempts, seconds = self._silence
        if self._failures >= attempts and silent >= seconds and self._standing.answered:
            why = state.outcome.exception() if state.outcome else None
            raise ModelError(
                f'the model "{self._name}" has not answered for {silent:.0f} s, '
                f"{self._failures} attempts in a row: {why}; build again when it does"
            )

    def _without_reply(self, why: str) -> VlaaError:
        if self._standing.answered:
            return NoReply(f'the model "{self._name}" gave no reply: {why}')
        return ModelError(f'the model "{self._name}" never answered: {why}{self._hint}')

    def _count(self, state: RetryCallState) -> None:
        del state
        self._counts.retries += 1


def refused_first(name: str, request: Request, completion: Completion, *, ours: bool = True) -> ModelError:
    """Say that a model, one of models.toml if `ours`, turns down all that a step asks."""
    where = f"[model.{name}] of generators/models.toml"
    keys = f"; see params, omit, max_tokens_field and structured in {where}" if ours else ""
    return ModelError(
        f'the model "{name}" refused its first call in the step {request.step} ({completion.status}): '
        f"{completion.reply.detail}{keys}"
    )


_exponential = wait_random_exponential(multiplier=0.25, max=LONGEST_WAIT)


def between_tries(state: RetryCallState) -> float:
    """Say how long the next try waits, in seconds: what the server asked for, else more and more."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Transient) and error.retry_after is not None:
        return error.retry_after + _exponential(state) * 0.1
    return _exponential(state)
