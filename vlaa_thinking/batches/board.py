"""Where the display finds how far one model's batches are, and what is gathered for the next one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from vlaa_thinking.counts import GATHERING, BatchCount

if TYPE_CHECKING:
    from vlaa_thinking.batches import Seen
    from vlaa_thinking.batches.journal import Batch
    from vlaa_thinking.batches.tray import Tray
    from vlaa_thinking.counts import Counts


class Board:
    """The batches of one model in a build's counts."""

    def __init__(self, name: str, counts: Counts) -> None:
        """Show those of the model `name`."""
        self._name = name
        self._batches = counts.batches

    def add(self, batch: Batch) -> None:
        """Show a batch."""
        self._batches[batch.id] = BatchCount(
            model=batch.model,
            roles=batch.roles,
            state=batch.state,
            since=batch.intended,
            requests=batch.requests,
            done=batch.done,
            failed=batch.failed,
        )

    def note(self, batch: Batch, seen: Seen) -> None:
        """Show how far a batch is."""
        count = self._batches[batch.id]
        count.state, count.done, count.failed = seen.state, seen.done, seen.failed

    def say(self, batch: Batch, state: str) -> None:
        """Show a state that no provider has told."""
        self._batches[batch.id].state = state

    def remove(self, batch: Batch) -> None:
        """Show a batch no longer."""
        self._batches.pop(batch.id, None)

    def gather(self, tray: Tray) -> None:
        """Show what waits to be sent."""
        self._batches.pop(self._name, None)
        if len(tray):
            self._batches[self._name] = BatchCount(
                model=self._name,
                roles=", ".join(sorted({call.request.role for call in tray})),
                state=GATHERING,
                since=time.time() - tray.oldest,
                requests=len(tray),
            )
