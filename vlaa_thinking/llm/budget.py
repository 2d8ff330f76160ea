"""A build's budget: nothing is sent that could take it past its cap."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from vlaa_thinking.errors import BudgetReached, SetupError, Uncharged
from vlaa_thinking.prices import CHARS_PER_TOKEN, Price, cost, input_tokens, longest_reply

if TYPE_CHECKING:
    from vlaa_thinking.counts import Counts
    from vlaa_thinking.llm import LLM, Completion, Request
    from vlaa_thinking.settings import Model
    from vlaa_thinking.shards.sharing import Lend

SURE = CHARS_PER_TOKEN
"""A reservation takes so many times the estimated input tokens: a text may hold as many as it has bytes."""


class Budget:
    """What one build may spend, over all its models."""

    def __init__(self, most: float, counts: Counts, *, lend: Lend | None = None) -> None:
        """Allow `most` US dollars, and what `lend` gives beyond; raises `SetupError` where that is no amount."""
        if not most >= 0:
            raise SetupError(f"a budget is US dollars from 0 on, not {most:g}")
        self._most = most
        self._counts = counts
        self._reserved = 0.0
        self._on_the_wire = 0
        self._settled = asyncio.Event()
        self._lend = lend
        self._lending = asyncio.Lock()

    async def reserve(self, dollars: float) -> None:
        """Set `dollars` aside; waits for calls in flight, raises `BudgetReached` when there is none to wait for.

        A call that waits when the user stops the build is not made: it raises `Uncharged`, which frees its slot.
        """
        await self._borrow(dollars)
        while not self.begin(dollars):
            self._settled.clear()
            await self._settled.wait()
            if self._counts.stopping:
                raise Uncharged("the build is stopping")
            await self._borrow(dollars)

    def begin(self, dollars: float) -> bool:
        """Set `dollars` aside, or return False where calls in flight are to be waited for; raises as `reserve` does."""
        if not self.add(dollars):
            if self._on_the_wire == 0:
                raise BudgetReached(
                    f"stopped at the budget: ${self._counts.spent:.4f} of ${self._most:g} is spent and the next call "
                    f"may take ${dollars:.4f}; every answer is kept: build again with a larger --budget"
                )
            return False
        self._on_the_wire += 1
        return True

    def add(self, dollars: float) -> bool:
        """Set so much more aside for what has begun, if there is room for it."""
        if self._lacks(dollars):
            return False
        self._reserved += dollars
        return True

    def resume(self, dollars: float) -> None:
        """Set aside what an earlier run has sent, whether there is room for it or not."""
        self._reserved += dollars
        self._on_the_wire += 1

    def _lacks(self, dollars: float) -> float:
        """Say how much is lacking for so much more; nothing where it is within the budget."""
        return max(0.0, self._counts.spent + self._reserved + dollars - self._most)

    async def _borrow(self, dollars: float) -> None:
        """Borrow what is lacking, where somebody lends; one call at a time asks for it."""
        if self._lend is None or not self._lacks(dollars):
            return
        async with self._lending:
            lacking = self._lacks(dollars)
            if lacking:
                self._most += await self._lend(lacking)

    def settle(self, reserved: float) -> None:
        """Give a reservation back, once what was spent is counted."""
        self._reserved -= reserved
        self._on_the_wire -= 1
        self._settled.set()


class Budgeted:
    """Count what each attempt costs, and reserve it first where there is a budget."""

    def __init__(
        self, inner: LLM, *, model: Model, price: Price | None, budget: Budget | None, counts: Counts
    ) -> None:
        """Charge the attempts of `inner` at `price`; with a budget the price must be known."""
        self._inner = inner
        self._model = model
        self._price = price
        self._budget = budget
        self._counts = counts

    @property
    def rest_until(self) -> float:
        """The event loop's time until which the provider's headers say that nothing is left."""
        rest: float = getattr(self._inner, "rest_until", 0.0)
        return rest

    async def __call__(self, request: Request, /) -> Completion:
        """Make one attempt; what timed out or came back unreadable stays charged at its estimate."""
        if self._price is None:
            completion = await self._inner(request)
            self._counts.role(request.role).unpriced += 1
            return completion
        estimate = self._estimate(request)
        if self._budget is not None:
            await self._budget.reserve(estimate)
        charge = estimate
        try:
            completion = await self._inner(request)
            charge = self._settled(completion, estimate)
        except Uncharged:
            charge = 0.0
            raise
        finally:
            self._counts.role(request.role).spent += charge
            if self._budget is not None:
                self._budget.settle(estimate)
        return completion

    def _settled(self, completion: Completion, estimate: float) -> float:
        if completion.status >= 400:
            return 0.0  # a request that was turned down is not charged
        spent = cost(self._price, completion.usage)
        return estimate if spent is None else spent

    def _estimate(self, request: Request) -> float:
        assert self._price is not None
        return most_of(request, self._model, self._price)


def most_of(request: Request, model: Model, price: Price) -> float:
    """Return the most US dollars that a request may cost."""
    return price.of(SURE * input_tokens(request, model), longest_reply(request, model))
