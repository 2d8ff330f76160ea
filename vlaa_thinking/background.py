"""Work beside the calls: it takes the processor when no reply waits for it."""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

NICENESS = 10
"""By how much such work steps back. Without it a reply waits for the system's next turn, milliseconds each time."""


class Background:
    """One thread that can step back behind the event loop's: where they share a core, the loop then goes first."""

    def __init__(self) -> None:
        """Make the thread at its first work."""
        self._thread = ThreadPoolExecutor(1, "vlaa-background")
        self.is_back = False
        """Whether it has stepped back."""

    async def __aenter__(self) -> Self:
        """Lend it."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Wait for the work under way."""
        await asyncio.to_thread(self._thread.shutdown)

    async def do(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Do `work` there; what it raises is raised here."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, partial(work, *args, **kwargs))

    def step_back(self) -> None:
        """Go behind the loop from the next work on; where no call is made, that would only cost turns."""
        if not self.is_back and sys.platform == "linux":  # elsewhere it would hold for the whole process
            self._thread.submit(os.nice, NICENESS)
        self.is_back = True
