"""How asynchronous work is run and ended. Ctrl-C: the first one takes nothing new and waits for replies under way, the second ends at once."""

from __future__ import annotations

import asyncio
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from vlaa_thinking.counts import GATHERING
from vlaa_thinking.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Iterator

    from vlaa_thinking.counts import Counts
    from vlaa_thinking.llm.limit import Limited

T = TypeVar("T")

GRACE = 10.0
"""Seconds that replies under way are waited for."""


def run_to_end(work: Coroutine[None, None, T]) -> T:
    """Run `work` to its end; in a thread of its own where an event loop is running here (a notebook's)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


class Stop:
    """Whether the user wants a build to end; to be made inside its event loop."""

    def __init__(self, counts: Counts) -> None:
        """Mark `counts` when the wish comes, for the display."""
        self._counts = counts
        self._wanted = asyncio.Event()

    @contextmanager
    def on_ctrl_c(self) -> Iterator[None]:
        """Listen to Ctrl-C; only a main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._pressed)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    def _pressed(self) -> None:
        if self._counts.stopping:
            raise KeyboardInterrupt
        self._counts.stopping = True
        self._wanted.set()

    def raise_if_wanted(self) -> None:
        """Raise `Interrupted` if the user wants to stop; for work in threads, between two of its parts."""
        if self._wanted.is_set():
            sent = sum(batch.state != GATHERING for batch in self._counts.batches.values())
            more = (
                f"; its batches ({sent}) go on, `vlaa-thinking status OUT` says how far they are"
                if sent
                else ""
            )
            raise Interrupted(
                f"stopped; every answer so far is kept: run the same command again to go on{more}"
            )

    async def let_end(self, gates: Iterable[Limited]) -> None:
        """Let no call begin, and those under way end: they are paid for."""
        self._counts.stopping = True
        await asyncio.gather(*(gate.drain(GRACE) for gate in gates))
        await asyncio.sleep(0)  # what came in is written down by those who asked

    async def watch(self, work: Coroutine[None, None, T], gates: Iterable[Limited]) -> T:
        """Do `work` and return what it returns; where the user wants to stop, let the calls under way end and give the work up."""
        task = asyncio.create_task(work)
        wanted = asyncio.create_task(self._wanted.wait())
        try:
            await asyncio.wait({task, wanted}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                await self.let_end(gates)
        finally:
            wanted.cancel()
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        self.raise_if_wanted()
        return await task
