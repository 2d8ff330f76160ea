"""A few worker processes for Math-Verify: started on first need, replaced when they die, safe in threads.

Not `multiprocessing`: its spawn imports the caller's `__main__` in each worker, which kills a script without a
main guard, and its fork copies locks that other threads hold. A comparison that passes its time limit is ended by
the kernel, and the worker says so (see `worker`): the parent only ever waits for a line or for the end of the pipe.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

from vlaa_thinking.record import Score

SECONDS = 0.4
"""CPU time one comparison may take; by the clock, three times that."""

PATIENCE = 5.0
"""Seconds that a worker whose input has ended is given to go; on a busy machine even that takes a while."""


Answer = dict[str, int | None]
"""What a worker says: `equal`, or `ended`, the signal that ended the comparison."""


class Worker:
    """One process, which compares one pair at a time."""

    def __init__(self) -> None:
        """Start the process and wait until it has imported Math-Verify; `RuntimeError` if it cannot."""
        # The parent's own search path, in its order: what is importable here is so there, and no more.
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)  # noqa: PTH109
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "vlaa_thinking.checks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
            start_new_session=True,  # Ctrl-C is for the parent, which then closes the pipe
        )
        self.asked = 0
        if self._read() is None:
            self.close()
            raise RuntimeError(
                "The math worker does not start: is math-verify installed? pip install vlaa-thinking"
            )

    def compare(self, prediction: str, gold: str, tolerance: float, limit: float) -> Answer | None:
        """Return the worker's answer, or None if it died over the question."""
        self.asked += 1
        question = {"prediction": prediction, "gold": gold, "tolerance": tolerance, "limit": limit}
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps({"number": self.asked, **question}).encode() + b"\n")
            while (answer := self._read()) is not None:
                if answer.get("number") == self.asked:
                    return answer
        return None

    def close(self) -> int:
        """End the process, and return how it ended (minus a signal's number)."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        with suppress(subprocess.TimeoutExpired):  # a worker whose input ended goes by itself
            return self.process.wait(PATIENCE)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # its session: itself and its child
        return self.process.wait()

    def forget(self) -> None:
        """In a forked child: let go of the parent's process without ending it."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.returncode = 0  # not ours to wait for

    def _read(self) -> Answer | None:
        """Wait for one line; None at the end of the pipe."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line.endswith(b"\n") else None


class Pool:
    """At most `size` workers; a caller beyond that waits its turn, which counts in no limit."""

    def __init__(self, size: int = 2, limit: float = SECONDS) -> None:
        """Start nothing yet."""
        self._size = size
        self._limit = limit
        self._slots = threading.BoundedSemaphore(size)
        self._lock = threading.Lock()
        self._idle: list[Worker] = []

    def compare(self, prediction: str, gold: str, tolerance: float = 0.0) -> Score:
        """Compare two LaTeX expressions in a worker."""
        with self._slots:
            worker = self._take()
            answer = None
            try:
                answer = worker.compare(prediction, gold, tolerance, self._limit)
            finally:  # also when an interrupt cut the wait
                self._give(worker, alive=answer is not None)
        if answer is not None and "equal" in answer:
            return _verdict(answer["equal"])
        if answer is not None and answer["ended"] in (signal.SIGPROF, signal.SIGALRM):
            return Score(value=None, reason=f"Took longer than {self._limit:g} s to compare.")
        return Score(value=None, reason="Math-Verify broke off over it.")

    def close(self) -> None:
        """End every worker; a later call starts new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()

    def _take(self) -> Worker:
        """Return an idle worker that lives, or start one."""
        while True:
            with self._lock:
                worker = self._idle.pop() if self._idle else None
            if worker is None:
                return Worker()
            if worker.process.poll() is None:
                return worker
            worker.close()

    def _give(self, worker: Worker, *, alive: bool) -> None:
        """Put a worker back, or bury it."""
        if not alive:
            worker.close()
            return
        with self._lock:
            self._idle.append(worker)

    def after_fork(self) -> None:
        """In a forked child: leave the workers to the parent, or two processes would share their pipes."""
        for worker in self._idle:
            worker.forget()
        self._slots = threading.BoundedSemaphore(self._size)
        self._lock = threading.Lock()
        self._idle = []


def _verdict(equal: int | None) -> Score:
    """Say a worker's answer as a score."""
    if equal is None:
        return Score(value=None, reason="Math-Verify cannot read it.")
    return Score(value=float(equal), reason="Equal by algebra." if equal else "Not equal by algebra.")


POOL = Pool()
"""The process-wide pool; a test or a user may hold another."""

atexit.register(POOL.close)
os.register_at_fork(after_in_child=POOL.after_fork)
