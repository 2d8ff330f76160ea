"""An event loop whose clock jumps to the next timer: minutes of waiting pass at once, and always in the same way."""

import asyncio


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Where nothing is ready, it is at once as late as the next timer wants; only timers may be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        ready, scheduled = vars(self)["_ready"], vars(self)["_scheduled"]
        if not ready and scheduled:
            self._now = max(self._now, scheduled[0].when())
        super()._run_once()  # type: ignore[misc]
