"""Which batch of the provider's list is one that was intended, and perhaps sent, before the build was cut off."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlaa_thinking.batches import Gone

if TYPE_CHECKING:
    from vlaa_thinking.batches import Seen, Service
    from vlaa_thinking.batches.journal import Batch, Journal

SKEW = 600.0
"""Seconds by which the provider's clock may be before ours."""

SENDING = 4 * 3600.0
"""Seconds that the sending of a batch may take, tries included."""

LOOKS = 2
"""In so many lists a batch must be missing, one interval of looking apart, before it is sure that it never arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is known of a batch that was intended."""

    batch: Seen | None = None
    never: bool = False
    """It never arrived."""
    state: str = "unconfirmed"


class Finder:
    """Look for intended batches in the provider's list."""

    def __init__(self, service: Service, journal: Journal) -> None:
        """Ask `service`; what `journal` knows by its provider's id is another one."""
        self._service = service
        self._journal = journal
        self._strangers: set[tuple[str, str]] = set()
        """Our id and the provider's: batches that turned out not to be the ones that were intended."""
        self._missing: dict[str, int] = {}
        """By our id: in how many lists a batch was missing."""

    async def find(self, batch: Batch) -> Found:
        """Look for one batch; raises `Transient` where the provider cannot be asked.

        Where it keeps our tag, that decides. Where it does not, each batch of the same time and count is a candidate,
        until it has ended and its results say whose it is.
        """
        known = {b.provider_id for b in self._journal.batches()}
        candidates: list[Seen] = []
        async with aclosing(self._service.recent(batch.intended - SKEW)) as listed:
            async for seen in listed:
                if self._service.tags:
                    if seen.tag == batch.id:
                        return Found(batch=seen)
                elif (
                    seen.id not in known
                    and (batch.id, seen.id) not in self._strangers
                    and seen.requests == batch.requests
                    and seen.created <= batch.intended + SENDING
                ):
                    candidates.append(seen)
        for seen in candidates:
            if seen.ended and await self._is_ours(seen, batch):
                return Found(batch=seen)
            if seen.ended:
                self._strangers.add((batch.id, seen.id))
        waiting = [seen for seen in candidates if not seen.ended]
        if waiting:
            return Found(state=f"unconfirmed: {len(waiting)} of the provider's may be it")
        self._missing[batch.id] = self._missing.get(batch.id, 0) + 1
        return Found(never=self._missing[batch.id] >= LOOKS)

    async def _is_ours(self, seen: Seen, batch: Batch) -> bool:
        """Say by its results whether a batch is the one that was intended."""
        keys = {key.hex() for key in self._journal.keys(batch.id)}
        try:
            async with aclosing(self._service.answers(seen)) as answers:
                async for answer in answers:
                    return answer.custom_id in keys
        except Gone:
            return False
        return False
