"""A model in batch mode, in the place of `Retrying`, `Limited` and `Budgeted` in its nest."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from vlaa_thinking.batches.tray import Call
from vlaa_thinking.cache import canonical, key_of
from vlaa_thinking.errors import ModelError
from vlaa_thinking.log import note_attempt

if TYPE_CHECKING:
    from vlaa_thinking.batches.account import Asker
    from vlaa_thinking.batches.courier import Courier
    from vlaa_thinking.cache import Address
    from vlaa_thinking.llm import LLM, Completion, Request


class Batched:
    """Send requests by the batch, but for the first of each step where the model has not answered its like before.

    That one goes live, and the others of its step wait for it: a wrong set-up is told at once, and not a day later. A
    model in live mode calls live, too, what none of its earlier batches may hold.
    """

    def __init__(
        self, live: LLM, courier: Courier, asker: Asker, address: Address, *, only_held: bool
    ) -> None:
        """Answer by `courier`, or by `live`; with `only_held`, by the courier only what batches hold already."""
        self._live = live
        self._courier = courier
        self._address = address
        self._asker = asker
        self._only_held = only_held
        self._firsts: dict[str, asyncio.Future[None]] = {}
        """By step: done when it is known whether the model takes its requests, with the error if not."""

    async def __call__(self, request: Request, /) -> Completion:
        """Answer one request; raises `NoReply`, or `ModelError` if this model does not answer at all."""
        asked = canonical(request, self._address)
        key = key_of(asked)
        if not self._courier.holds(key):
            if self._only_held:
                return await self._live(request)
            proof = await self._proof(request)
            if proof is not None:
                return proof
        answer = asyncio.get_running_loop().create_future()
        call = Call(asker=self._asker, request=request, key=key, asked=asked, answer=answer)
        note_attempt()
        return await self._courier.ask(call)

    async def _proof(self, request: Request) -> Completion | None:
        """Make the first call of a step live, unless its like was answered before."""
        first = self._firsts.get(request.step)
        if first is not None:
            await asyncio.shield(first)
            return None
        first = self._firsts[request.step] = asyncio.get_running_loop().create_future()
        try:
            if await asyncio.to_thread(self._asker.standing.takes, request):
                return None
            return await self._live(request)
        except ModelError as exc:
            first.set_exception(exc)
            first.exception()  # nobody may be waiting
            raise
        finally:
            if not first.done():
                first.set_result(None)
