"""What a batch's results come to: answers in the cache, refusals, and what is to be asked again."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlaa_thinking.batches import Answer, Gone
from vlaa_thinking.batches.talk import packed
from vlaa_thinking.errors import ModelError, Transient
from vlaa_thinking.llm.http import error_words
from vlaa_thinking.llm.wrap import count_made, refused_first
from vlaa_thinking.prices import cost

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vlaa_thinking.batches import Seen
    from vlaa_thinking.batches.account import Account
    from vlaa_thinking.batches.journal import Batch, Entry
    from vlaa_thinking.batches.tray import Call
    from vlaa_thinking.llm import Completion

LOT = 256
"""Answers that are recorded at a time, in one transaction."""


@dataclass(slots=True)
class Taken:
    """What is left once the answers are recorded."""

    why: str = "the batch ended before it was worked on"
    """Why the others have none."""
    fault: ModelError | None = None
    """An error that holds for the whole model."""


class Results:
    """Take in the results of one model's batches."""

    def __init__(self, account: Account) -> None:
        """Record and count for `account`."""
        self._at = account
        self._charged: set[tuple[str, bytes]] = set()
        """What was counted of batches whose results were cut off while they came."""

    async def take_in(self, batch: Batch, seen: Seen, calls: Mapping[bytes, Call]) -> Taken:
        """Record the answers of a batch and hand them to those who wait; raises `Transient` where they cannot be read.

        Answers come first, so that a refusal can be told from a model that takes nothing at all.
        """
        entries = dict(await asyncio.to_thread(self._at.journal.entries, batch.id))
        taken = Taken()
        lot: list[tuple[Entry, Answer]] = []
        errors: list[tuple[Entry, Answer]] = []
        try:
            async with aclosing(self._at.service.answers(seen)) as answers:
                async for answer in answers:
                    entry = entries.pop(_key(answer.custom_id), None)
                    if entry is None:
                        continue
                    (lot if 200 <= answer.status < 300 else errors).append((entry, answer))
                    if len(lot) == LOT:
                        await self._record(batch, lot, calls, taken)
                        lot = []
        except Gone as exc:
            taken.why = f"its batch ended, and its results are gone: {exc}"
        await self._record(batch, lot, calls, taken)
        for entry, answer in errors:
            call = calls.get(entry.key)
            if call is not None and not call.answer.done():
                self._turn_down(call, answer, entry, taken)
        self._charged = {(other, key) for other, key in self._charged if other != batch.id}
        return taken

    async def _record(
        self, batch: Batch, lot: list[tuple[Entry, Answer]], calls: Mapping[bytes, Call], taken: Taken
    ) -> None:
        """Record whole replies in the cache, whether or not somebody waits for them yet."""
        at = self._at
        whole: list[tuple[Entry, Completion]] = []
        for entry, answer in lot:
            try:
                whole.append(
                    (entry, at.asker.endpoint.finished(answer.status, answer.body, {}, entry.images))
                )
            except Transient as exc:
                taken.why = str(exc)
                self._charge(batch, entry, None)
        await asyncio.gather(*(at.cache.record(e.key, e.asked, c, who=at.who) for e, c in whole))
        for entry, completion in whole:
            self._charge(batch, entry, completion)
            call = calls.get(entry.key)
            if call is not None and not call.answer.done():
                call.asker.standing.note(call.request)
                call.answer.set_result(completion)

    def _charge(self, batch: Batch, entry: Entry, completion: Completion | None) -> None:
        """Count a reply and what it cost; one that cannot be read costs its estimate."""
        if (batch.id, entry.key) in self._charged:
            return
        self._charged.add((batch.id, entry.key))
        count, price = self._at.counts.role(entry.role), self._at.price
        if completion is not None:
            count_made(count, completion)
            count.unpriced += price is None
        spent = cost(price, completion.usage) if completion else None
        count.spent += entry.estimate if spent is None else spent

    def _turn_down(self, call: Call, answer: Answer, entry: Entry, taken: Taken) -> None:
        """Say what an error inside a batch means: what it would have meant live."""
        if answer.status == 0:
            taken.why = error_words(answer.body)
            return
        try:
            completion = self._at.asker.endpoint.finished(answer.status, answer.body, {}, entry.images)
        except Transient as exc:
            taken.why = str(exc)
        except ModelError as exc:
            taken.fault = taken.fault or exc
        else:
            if call.asker.standing.takes(call.request):
                call.answer.set_result(completion)
            else:
                taken.fault = taken.fault or refused_first(call.asker.name, call.request, completion)

    def turned_down(self, call: Call, status: int, words: str, entry: Entry) -> None:
        """Give a request that no batch may hold its refusal; raises `ModelError` where the model takes none like it."""
        taken = Taken()
        body = packed({"error": {"message": words}})
        self._turn_down(call, Answer(custom_id=call.key.hex(), status=status, body=body), entry, taken)
        if taken.fault is not None:
            raise taken.fault


def _key(custom_id: str) -> bytes:
    try:
        return bytes.fromhex(custom_id)
    except ValueError:
        return b""
