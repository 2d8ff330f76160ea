"""An event loop on a simulated clock: hours of waiting pass at once, and always in the same way."""

from __future__ import annotations

import asyncio
from selectors import SelectSelector
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still while anything is to be done, and then jumps to the next timer."""

    def __init__(self) -> None:
        """Begin at zero."""
        super().__init__(_Jumping(self))
        self.now = 0.0

    def time(self) -> float:
        """Return the simulated seconds."""
        return self.now


class _Jumping(SelectSelector):
    """Lets the loop's clock jump where the loop would wait."""

    def __init__(self, loop: SimulatedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("nothing is left to happen, and somebody waits for it")
        self._loop.now += max(0.0, timeout)
        return []


def simulated(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a simulated clock."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(work)
