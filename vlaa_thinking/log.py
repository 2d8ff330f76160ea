"""A build's log: one JSON object a line for each call and each row, and nothing of what was said.

Where no log is wanted, none of this is in the nest of a model: it costs nothing.
"""

from __future__ import annotations

import json
import time
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from vlaa_thinking.cache import canonical, key_of
from vlaa_thinking.errors import NoReply, SetupError

if TYPE_CHECKING:
    from pathlib import Path

    from vlaa_thinking.cache import Address
    from vlaa_thinking.llm import LLM, Completion, Json, Request
    from vlaa_thinking.record import Record


class Log:
    """An open log file; lines are only ever added, each with one write, so that several builds may share it."""

    def __init__(self, path: Path, *, out: Path) -> None:
        """Open the file, make it if need be; raises `SetupError` if it cannot be, or lies in the folder `out`."""
        if out in path.resolve().parents:
            raise SetupError(f"the log {path} would lie in the dataset folder {out}: name another --log")
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
            if _ends_in_a_line(path):
                self._file.write(b"\n")
        except OSError as exc:
            raise self._unwritten(exc) from exc

    def row(self, record: Record) -> None:
        """Note that a row's way through the models is over; where `curate` sends it comes later."""
        outcome = record.outcome
        self.write(
            "row",
            row=record.id,
            step=outcome.step if outcome else "verify",
            outcome=outcome.status if outcome else "passed",
            code=outcome.code if outcome else "",
        )

    def write(self, event: str, **facts: Json) -> None:
        """Add a line."""
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": stamp, "event": event, **facts}, ensure_ascii=False)
        try:
            self._file.write(line.encode() + b"\n")
        except OSError as exc:
            raise self._unwritten(exc) from exc

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _unwritten(self, error: OSError) -> SetupError:
        return SetupError(f"the log {self._path} cannot be written: {error.strerror}; name another --log")


def _ends_in_a_line(path: Path) -> bool:
    """Whether a killed build left the file's last line unfinished."""
    with path.open("rb") as file:
        if file.seek(0, 2) == 0:
            return False
        file.seek(-1, 2)
        return file.read(1) != b"\n"


@dataclass(slots=True)
class _Call:
    """What is found out about one call on its way through the nest."""

    attempts: int = 0


_call: ContextVar[_Call] = ContextVar("_call")


class Logged:
    """Note each call with its end; to be put around the whole nest of a model."""

    def __init__(self, inner: LLM, log: Log, *, name: str, address: Address | None) -> None:
        """Note the calls of `inner`, known to the user as `name`."""
        self._inner = inner
        self._log = log
        self._name = name
        self._address = address

    async def __call__(self, request: Request, /) -> Completion:
        """Answer one request."""
        call = _Call()
        began = time.monotonic()
        before = _call.set(call)
        completion: Completion | None = None
        state = "stopped"
        try:
            answer = completion = await self._inner(request)
            state = completion.state
        except NoReply:
            state = "no_reply"
            raise
        finally:
            _call.reset(before)
            self._note(request, completion, state, call, time.monotonic() - began)
        return answer

    def _note(
        self, request: Request, completion: Completion | None, state: str, call: _Call, seconds: float
    ) -> None:
        key = key_of(canonical(request, self._address)).hex() if self._address else None
        self._log.write(
            "call",
            role=request.role,
            step=request.step,
            model=self._name,
            key=key,
            state=state,
            by="model" if call.attempts else "cache" if completion else None,
            input_tokens=completion.usage.input_tokens if completion else None,
            output_tokens=completion.usage.output_tokens if completion else None,
            seconds=round(seconds, 3),
            retries=max(0, call.attempts - 1),
        )


def note_attempt() -> None:
    """Count an attempt of the call that is noted, if one is."""
    call = _call.get(None)
    if call is not None:
        call.attempts += 1


class Attempted:
    """Count the attempts of the call that is noted; to be put inside whatever tries again."""

    def __init__(self, inner: LLM) -> None:
        """Count the attempts that `inner` is asked for."""
        self._inner = inner

    async def __call__(self, request: Request, /) -> Completion:
        """Make one attempt."""
        note_attempt()
        return await self._inner(request)
