"""The courier carries one model's batches to its provider, and their answers back."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

from vlaa_thinking.batches import Gone, TooLarge
from vlaa_thinking.batches.board import Board
from vlaa_thinking.batches.finding import Finder
from vlaa_thinking.batches.parcels import fail, intended, most, packed
from vlaa_thinking.batches.results import Results
from vlaa_thinking.batches.tray import Call, Tray
from vlaa_thinking.errors import ModelError, Transient, Uncharged
from vlaa_thinking.llm.wrap import between_tries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vlaa_thinking.batches import Seen
    from vlaa_thinking.batches.account import Account
    from vlaa_thinking.batches.journal import Batch
    from vlaa_thinking.batches.parcels import Parcel
    from vlaa_thinking.llm import Completion

TICK = 0.5
"""Seconds between two looks at the tray, at most."""

GRACE = 30.0
"""Seconds that a batch which is just being sent may still take when the build ends."""

FULL = "token_limit_exceeded"
"""OpenAI's code for a batch with which more tokens would wait than this account may have waiting."""


class Courier:
    """All batches of one model in one build."""

    def __init__(self, account: Account) -> None:
        """Know what the journal says is under way; nothing is asked or sent before the first `ask`."""
        self._at = account
        self._rule = account.model.batch
        self._tray = Tray(self._rule, account.counts)
        self._calls: dict[bytes, Call] = {}
        """Every request that somebody waits for, by its key."""
        self._open = {batch.id: batch for batch in account.journal.open(account.who)}
        self._holds = {key: batch for batch in self._open for key in account.journal.keys(batch)}
        """What batches hold or may hold, by key, with the batch's id."""
        self._board = Board(account.name, account.counts)
        self._finder = Finder(account.service, account.journal)
        self._results = Results(account)
        self._most_bytes = self._rule.bytes
        self._full = False
        """Whether the account has no room before one of its batches ends."""
        self._began = time.time()
        self._looked = 0.0
        self._task: asyncio.Task[None] | None = None
        self._fault: BaseException | None = None
        self._closing = False
        self._handed_over = asyncio.Event()
        """Clear while a batch is being sent."""
        self._handed_over.set()

    def holds(self, key: bytes) -> bool:
        """Whether a batch holds, or may hold, the request with this key."""
        return key in self._holds

    @property
    def is_idle(self) -> bool:
        """Whether no batch is under way."""
        return not self._open

    async def ask(self, call: Call) -> Completion:
        """Wait for a request's answer; it goes with the next batch unless one holds it already."""
        if self._fault is not None:
            raise self._fault
        if self._task is None:
            self._begin()
        if call.key in self._calls:
            return await asyncio.shield(self._calls[call.key].answer)
        self._calls[call.key] = call
        if call.key not in self._holds:
            self._tray.put(call)
        try:
            return await call.answer
        finally:
            self._tray.take(call.key)
            self._calls.pop(call.key, None)

    async def aclose(self) -> None:
        """Let a batch that is being sent be sent, and end."""
        self._closing = True
        if self._task is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(GRACE):
                    await self._handed_over.wait()
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._at.service.aclose()

    def _begin(self) -> None:
        for batch in self._open.values():
            self._board.add(batch)
            if self._at.budget is not None:
                self._at.budget.resume(batch.estimate)
        self._task = asyncio.create_task(self._work())

    async def _work(self) -> None:
        tick = min(TICK, self._rule.every, max(0.01, self._rule.age / 4))
        try:
            while not self._closing:
                if self._open and time.monotonic() - self._looked >= self._rule.every:
                    self._looked = time.monotonic()
                    await self._look()
                sent = self._may_send() and await self._send()
                self._board.gather(self._tray)
                await asyncio.sleep(0 if sent else tick)
        except asyncio.CancelledError:
            raise
        except BaseException as exc:  # noqa: BLE001 - told to everybody who waits
            self._fault = exc
            for call in self._calls.values():
                if not call.answer.done():
                    call.answer.set_exception(exc)

    def _may_send(self) -> bool:
        return not self._closing and not self._full and self._tray.is_due()

    # --- to the provider ---

    async def _send(self) -> bool:
        """Send the oldest requests as one batch; False where the budget has no room before others have ended."""
        parcels = await packed(self._at, self._tray, self._most_bytes)
        if not parcels:
            return False
        self._handed_over.clear()
        try:
            await self._hand_over(parcels)
        finally:
            self._handed_over.set()
        return True

    async def _hand_over(self, parcels: Sequence[Parcel]) -> None:
        """Write down what is to be sent, and send it; one that is too large goes in two halves."""
        batch = await intended(self._at, parcels)
        for parcel in parcels:
            self._tray.take(parcel.call.key)
            self._holds[parcel.call.key] = batch.id
        self._open[batch.id] = batch
        self._board.add(batch)
        try:
            seen = await self._created(batch, [parcel.line for parcel in parcels])
        except TooLarge as exc:
            self._forget(batch, "too large")
            await self._hand_over_halves(parcels, str(exc))
            self._settle(batch)
        except Uncharged as exc:
            self._forget(batch, "not sent")
            self._settle(batch)
            raise ModelError(
                f'no batch can be sent for the model "{self._at.name}": {exc}; nothing is lost: build again'
            ) from exc
        except ModelError:
            self._forget(batch, "turned down")
            self._settle(batch)
            raise
        except Transient:
            return  # it may have arrived: it is looked for in the provider's list
        else:
            self._arrived(batch, seen)

    async def _hand_over_halves(self, parcels: Sequence[Parcel], why: str) -> None:
        """Send a batch in two; a request that is too large by itself is refused, as a live one is."""
        if len(parcels) == 1:
            self._results.turned_down(parcels[0].call, 413, why, parcels[0].entry)
            return
        size = sum(len(parcel.line) + 1 for parcel in parcels)
        self._most_bytes = min(self._most_bytes, size // 2)
        middle = len(parcels) // 2
        for half in (parcels[:middle], parcels[middle:]):
            if self._at.budget is not None:
                self._at.budget.resume(most(half))
            await self._hand_over(half)

    async def _created(self, batch: Batch, lines: Sequence[bytes]) -> Seen:
        """Send a batch, again where it is sure that it did not arrive."""
        tries = AsyncRetrying(
            retry=retry_if_exception_type(Uncharged),
            stop=stop_after_attempt(self._at.model.tries),
            wait=between_tries,
            reraise=True,
        )
        return await tries(self._at.service.create, batch.id, lines)

    def _arrived(self, batch: Batch, seen: Seen) -> None:
        self._at.journal.sent(batch.id, seen.id, time.time())
        self._open[batch.id] = replace(batch, provider_id=seen.id, state=seen.state)
        self._note(batch, seen)

    def _note(self, batch: Batch, seen: Seen) -> None:
        self._at.journal.note(batch.id, seen.state, seen.done, seen.failed)
        self._board.note(batch, seen)

    # --- back from the provider ---

    async def _look(self) -> None:
        """Ask how far each batch is, and take in the results of those that have ended."""
        for batch in list(self._open.values()):
            try:
                if batch.provider_id is None:
                    await self._find(batch)
                    continue
                seen = await self._seen(batch, batch.provider_id)
                self._note(batch, seen)
                if seen.ended:
                    await self._take_in(batch, seen)
            except Transient as exc:
                self._board.say(batch, f"cannot be asked now: {exc}"[:80])

    async def _seen(self, batch: Batch, provider_id: str) -> Seen:
        try:
            return await self._at.service.look(provider_id)
        except Gone as exc:
            key = f" {batch.key_env}" if batch.key_env else ""
            raise ModelError(
                f'the provider of the model "{self._at.name}" does not know the batch {provider_id}: is the key{key} '
                "another account's? If the batch was deleted, delete batches.sqlite in the work folder, too: its "
                "requests are then paid again"
            ) from exc

    async def _find(self, batch: Batch) -> None:
        """Look for a batch of which only the intention is known."""
        found = await self._finder.find(batch)
        if found.batch is not None:
            self._arrived(batch, found.batch)
        elif found.never:
            self._settle(batch)
            self._release(self._forget(batch, "never arrived"), None)
        else:
            self._board.say(batch, found.state)

    async def _take_in(self, batch: Batch, seen: Seen) -> None:
        """Record the answers of a batch; what has none is sent again."""
        taken = await self._results.take_in(batch, seen, self._calls)
        self._settle(batch)
        full, held = FULL in seen.fault, self._forget(batch, seen.state)
        self._full = full and bool(self._open)
        if full and not self._full:  # even alone it is too much
            self._most_bytes = max(1, batch.bytes // 2)
        if seen.fault and not full and batch.intended >= self._began:
            raise ModelError(
                f'the batch endpoint of the model "{self._at.name}" turned a batch down: {seen.fault}; nothing of it '
                "is charged"
            )
        if taken.fault is not None:
            raise taken.fault
        hopeless = full and batch.requests == 1 and not self._full
        self._release(held, seen.fault if hopeless else None if seen.fault else taken.why)

    def _release(self, keys: Sequence[bytes], why: str | None) -> None:
        """Let what has no answer go with another batch; with `why`, it counts as a try."""
        for key in keys:
            call = self._calls.get(key)
            if call is None or call.answer.done():
                continue
            call.tries += why is not None
            if call.tries >= self._at.model.tries:
                fail(call, str(why))
                continue
            self._at.counts.retries += why is not None
            self._tray.put(call)

    def _forget(self, batch: Batch, state: str) -> list[bytes]:
        """Note that a batch is over; returns what it held."""
        self._at.journal.end(batch.id, state, time.time())
        self._open.pop(batch.id, None)
        self._board.remove(batch)
        held = [key for key, holder in self._holds.items() if holder == batch.id]
        for key in held:
            del self._holds[key]
        return held

    def _settle(self, batch: Batch) -> None:
        if self._at.budget is not None:
            self._at.budget.settle(batch.estimate)
