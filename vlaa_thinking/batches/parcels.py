"""Requests written as they are sent, as many as fit into one batch and into the budget."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import uuid4

from vlaa_thinking.batches.journal import Batch, Entry
from vlaa_thinking.errors import NoReply, VlaaError
from vlaa_thinking.llm.budget import most_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vlaa_thinking.batches.account import Account
    from vlaa_thinking.batches.tray import Call


@dataclass(frozen=True, slots=True)
class Parcel:
    """A request ready to be sent."""

    call: Call
    line: bytes
    """As it stands in a batch."""
    entry: Entry
    """As it stands in the journal."""


async def packed(at: Account, calls: Iterable[Call], most_bytes: int) -> list[Parcel]:
    """Write requests, the first ones first; what they may cost is set aside in the budget.

    A request that cannot be written, for its image is not there any more, fails alone. Raises `BudgetReached`.
    """
    parcels: list[Parcel] = []
    size = 0
    for call in calls:
        if len(parcels) == at.model.batch.count:
            break
        estimate = 0.0 if at.price is None else most_of(call.request, call.asker.model, at.price)
        try:
            data, images = await call.asker.endpoint.data(call.request)
        except VlaaError:
            raise
        except Exception as exc:  # noqa: BLE001 - one row's fault
            fail(call, f"{type(exc).__name__}: {exc}")
            continue
        line = at.service.line(call.key.hex(), data)
        if call.answer.done():  # nobody waits for it any more
            continue
        if parcels and size + len(line) > most_bytes:
            break
        if at.budget is not None and not (at.budget.add if parcels else at.budget.begin)(estimate):
            break
        size += len(line) + 1
        entry = Entry(
            key=call.key,
            sha256=sha256(data).digest(),
            role=call.request.role,
            estimate=estimate,
            images=images,
            asked=call.asked,
        )
        parcels.append(Parcel(call, line, entry))
    return parcels


async def intended(at: Account, parcels: Sequence[Parcel]) -> Batch:
    """Write down in the journal that these are about to be sent as one batch."""
    batch = Batch(
        id=uuid4().hex,
        model=at.name,
        who=at.who,
        roles=", ".join(sorted({parcel.entry.role for parcel in parcels})),
        api=at.model.api,
        url=at.model.url,
        key_env=at.model.api_key_env,
        requests=len(parcels),
        bytes=sum(len(parcel.line) + 1 for parcel in parcels),
        estimate=most(parcels),
        intended=time.time(),
    )
    await asyncio.to_thread(at.journal.intend, batch, [parcel.entry for parcel in parcels])
    return batch


def most(parcels: Iterable[Parcel]) -> float:
    """Add up the most US dollars that they may cost."""
    return sum(parcel.entry.estimate for parcel in parcels)


def fail(call: Call, why: str) -> None:
    """Let a request end without a reply: its row has failed, this time."""
    if not call.answer.done():
        call.answer.set_exception(NoReply(f'the model "{call.asker.name}" gave no reply: {why}'))
