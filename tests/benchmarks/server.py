"""A loopback server that plays four models, quickly and badly: OpenAI's chat completions, Anthropic's messages.

    python tests/benchmarks/server.py --port 0 --latency 0.1

It prints `{"port": ...}` and answers until it is ended. `GET /stats` tells what it saw, `POST /reset` takes new
settings (a JSON object with the fields of `Behaviour`) and forgets what it saw.

It is hand-written on `asyncio.Protocol`, so that it is not what is measured: bodies are never parsed. Every
prompt of the benchmarks' project names its step ("bench-distill") and every row its number ("row 000123"): the
two are found by a search in the body's head and tail, and the reply is a ready response with the number put in.
What befalls an attempt is drawn by a hash of seed, step, row and attempt, so that every client, whatever form its
bodies have, meets the same delays and the same faults.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import hashlib
import json
import math
import re
import struct
from collections import Counter
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, cast

STEPS: tuple[str, ...] = ("caption", "distill", "rewrite", "verify")
"""What a prompt may name behind "bench-"."""

PATHS = {b"/v1/chat/completions": "openai", b"/v1/messages": "anthropic"}

ROW = "000000"
"""Stands for the row's number in ready replies; every number has six digits, so lengths never change."""

SCENE = (
    "Seen in row {row}: a kitchen in the morning, photographed from the door. On the left, beneath a window with "
    "two panes, stands a white stove with four plates; on its rear left plate there is a steel kettle with a black "
    "handle. To the right follow a wooden counter with three jars (sugar, flour, tea), a bread board with half a "
    "loaf and a knife, and a sink with one tap. The wall behind is tiled up to a height of about six tiles, cream "
    "with a blue border; above it hangs a shelf with five cups of different colours: red, yellow, green, blue and "
    "grey. The floor is checkered in grey and white. No person is to be seen. A calendar beside the shelf shows "
    "the month of May, and the clock above the door stands at ten past eight."
)

THOUGHT = (
    "{first} The question for row {row} is what stands on the stove. The stove is on the left, beneath the window, "
    "and has four plates. On the rear left plate there is a kettle of steel with a black handle; nothing is said "
    "of the other three plates, so they are empty. The jars, the board and the sink are on the counter to the "
    "right, and the cups hang on the shelf, so none of them can be what is asked for. That leaves the kettle as "
    "the only thing that stands there, and the answer follows from it for row {row}."
)

LEAKING, CLEAN = "The caption says what is where.", "The image shows what is where."

GOLD = "a kettle on the rear plate"
"""The right answer of every row, in other words than the reasoner's, so that the judge is asked."""

ANSWER = "the steel kettle of row {row}, standing at the back"


def reply_text(step: str, row: str) -> str:
    """Say what the model of a step answers to a row."""
    answer = ANSWER.format(row=row)
    match step:
        case "caption":
            return SCENE.format(row=row)
        case "distill":
            thought = THOUGHT.format(first=LEAKING, row=row)
            return f"<think>{thought}</think>\nIt stands on the stove.\n<answer>{answer}</answer>"
        case "rewrite":
            return THOUGHT.format(first=CLEAN, row=row)
        case "verify":
            return json.dumps({"reason": f"Both name the kettle of row {row}.", "verdict": "yes"})
    raise AssertionError(step)


def response(status: str, body: bytes, *headers: str) -> bytes:
    """Put an HTTP response together."""
    lines = (
        f"HTTP/1.1 {status}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *headers,
    )
    return "\r\n".join((*lines, "", "")).encode() + body


def _body(api: str, step: str) -> bytes:
    text = reply_text(step, ROW)
    if api == "anthropic":
        head, closed, rest = text.partition("</think>\n") if step == "distill" else ("", "", text)
        thinks = [{"type": "thinking", "thinking": head.removeprefix("<think>"), "signature": "none"}]
        said: dict[str, Any] = {
            "id": f"msg_{step}_{ROW}",
            "type": "message",
            "role": "assistant",
            "model": "bench",
            "content": [*(thinks if closed else []), {"type": "text", "text": rest}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 600, "output_tokens": 250},
        }
    else:
        said = {
            "id": f"chatcmpl-{step}-{ROW}",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": "bench",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 600, "completion_tokens": 250, "total_tokens": 850},
        }
    return json.dumps(said).encode()


READY = {(api, step): response("200 OK", _body(api, step)) for api in PATHS.values() for step in STEPS}
"""Whole responses, with `ROW` where the number belongs."""

BROKEN = b"<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>"


def _error(message: str) -> bytes:
    return json.dumps(
        {"type": "error", "error": {"type": "bench", "message": message, "code": None}}
    ).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How the server treats its callers."""

    latency: float = 0.0
    """Seconds from a request's last byte to the reply; the median, where `sigma` is set."""
    sigma: float = 0.0
    """Of the logarithm of the latency: 0 is a fixed one."""
    seed: int = 0
    cap: int | None = None
    """Calls in flight above which others are turned away with a 429, at once."""
    retry_after: float | None = 1.0
    """What the header of a 429 says."""
    rate_limited: float = 0.0
    """Share of attempts that get a 429 at once."""
    failing: float = 0.0
    """Share of attempts that get a 500 after the latency."""
    malformed: float = 0.0
    """Share of attempts that get a 200 with HTML, or with JSON that is cut, of the right Content-Length."""
    truncated: float = 0.0
    """Share of attempts whose connection ends in the middle of the body."""
    hang: float = 0.0
    """Share of attempts that are never answered."""


class World:
    """What all connections share: the behaviour, and what was seen."""

    def __init__(self, behaviour: Behaviour) -> None:
        """Begin with nothing seen."""
        self.behaviour = behaviour
        self.generation = 0
        self.forget()

    def forget(self) -> None:
        """Forget what was seen; calls still in flight are counted no more."""
        self.generation += 1
        self.calls = 0
        self.repeats = 0
        self.paid_again = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.faults: Counter[str] = Counter()
        self.first_request: float | None = None
        self.last_reply: float | None = None
        self.late = 0.0
        self.replies = 0
        self.unknown = 0
        self._attempts: Counter[int] = Counter()
        self._answered: set[int] = set()

    def stats(self) -> dict[str, Any]:
        """Tell what was seen; times are of the system's monotonic clock."""
        return {
            "calls": self.calls,
            "replies": self.replies,
            "repeats": self.repeats,
            "paid_again": self.paid_again,
            "unknown": self.unknown,
            "in_flight": self.in_flight,
            "most_in_flight": self.most_in_flight,
            "faults": dict(self.faults),
            "first_request": self.first_request,
            "last_reply": self.last_reply,
            "late": self.late / self.replies if self.replies else 0.0,
        }

    def arrive(self, api: str, body: bytes, now: float) -> tuple[str, bytes, float, int]:
        """Note a call; returns what befalls it, the response, the seconds until then, and the body's mark."""
        self.calls += 1
        if self.first_request is None:
            self.first_request = now
        mark = hash(body)
        attempt = self._attempts[mark]
        self._attempts[mark] = attempt + 1
        self.repeats += attempt > 0
        self.paid_again += mark in self._answered
        step, row = self._place(body)
        behaviour = self.behaviour
        if behaviour.cap is not None and self.in_flight >= behaviour.cap:
            return "capped", self._turned_away(), 0.0, mark
        fate, delay_draw = self._draws(step, row, attempt)
        latency = behaviour.latency
        if behaviour.sigma:
            latency *= math.exp(behaviour.sigma * _NORMAL.inv_cdf(delay_draw))
        for kind, share in (
            ("rate_limited", behaviour.rate_limited),
            ("failing", behaviour.failing),
            ("malformed", behaviour.malformed),
            ("truncated", behaviour.truncated),
            ("hang", behaviour.hang),
        ):
            if fate < share:
                return self._fault(kind, READY[api, step].replace(_ROW, row), latency, mark)
            fate -= share
        self._answered.add(mark)
        return "answered", READY[api, step].replace(_ROW, row), latency, mark

    def _fault(self, kind: str, ready: bytes, latency: float, mark: int) -> tuple[str, bytes, float, int]:
        """Spoil a response."""
        match kind:
            case "rate_limited":
                return kind, self._turned_away(), 0.0, mark
            case "failing":
                return (
                    kind,
                    response("500 Internal Server Error", _error("the engine fell over")),
                    latency,
                    mark,
                )
            case "malformed":
                body = ready.partition(b"\r\n\r\n")[2]
                half = BROKEN if mark % 2 else body[: len(body) // 2]
                return kind, response("200 OK", half), latency, mark
            case _:  # half a body; or nothing at all, ever
                return kind, ready[: -len(ready) // 3], latency, mark

    def _turned_away(self) -> bytes:
        wait = self.behaviour.retry_after
        headers = () if wait is None else (f"Retry-After: {wait:g}",)
        return response("429 Too Many Requests", _error("slow down"), *headers)

    def _place(self, body: bytes) -> tuple[str, bytes]:
        """Find step and row, most often in the first bytes and the last: between them lies an image."""
        step = _STEP.search(body, 0, 2000) or _STEP.search(body, max(0, len(body) - 6000))
        row = _NUMBER.search(body, max(0, len(body) - 6000)) or _NUMBER.search(body)
        if step is None or row is None:
            self.unknown += 1
            return "verify", _ROW
        return step[1].decode(), row[1]

    def _draws(self, step: str, row: bytes, attempt: int) -> tuple[float, float]:
        digest = hashlib.blake2b(
            b"%d/%b/%b/%d" % (self.behaviour.seed, step.encode(), row, attempt), digest_size=16
        ).digest()
        first, second = struct.unpack("<QQ", digest)
        return first / 2.0**64, (second + 1) / (2.0**64 + 2)


_ROW = ROW.encode()
_NORMAL = NormalDist()
_STEP = re.compile(rb"bench-(caption|distill|rewrite|verify)")
_NUMBER = re.compile(rb"row (\d{6})")
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)


class Connection(asyncio.Protocol):
    """One kept-alive connection: a request, then its reply, then the next request."""

    def __init__(self, world: World) -> None:
        """Answer for `world`."""
        self._world = world
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._have = 0
        self._need = 0
        self._held = -1
        """The generation in which a call of this connection is in flight; -1: none is."""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way to write."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the call that was in flight: its caller has gone."""
        del exc
        if self._timer:
            self._timer.cancel()
        self._let_go()

    def data_received(self, data: bytes) -> None:
        """Gather a request; answer it when it is whole."""
        self._parts.append(data)
        self._have += len(data)
        if self._have < self._need:
            return
        message = data if len(self._parts) == 1 else b"".join(self._parts)
        end = message.find(b"\r\n\r\n") + 4
        if end == 3:
            self._parts = [message]
            return
        length = _LENGTH.search(message, 0, end)
        self._need = end + (int(length[1]) if length else 0)
        if self._have < self._need:
            self._parts = [message]
            return
        self._parts = []
        self._have = self._need = 0
        method, path, _ = message[:end].split(b" ", 2)
        api = PATHS.get(path)
        if api is None:
            self._transport.write(self._control(method + b" " + path, message[end:]))
        else:
            self._call(api, message[end:])

    def _call(self, api: str, body: bytes) -> None:
        world = self._world
        now = self._loop.time()
        kind, ready, latency, _ = world.arrive(api, body, now)
        if kind != "answered":
            world.faults[kind] += 1
        if kind in {"capped", "rate_limited"}:
            self._transport.write(ready)
            world.last_reply = now
            return
        self._held = world.generation
        world.in_flight += 1
        world.most_in_flight = max(world.most_in_flight, world.in_flight)
        if kind == "hang":
            return
        if latency:
            self._timer = self._loop.call_at(now + latency, self._send, kind, ready, now + latency)
        else:
            self._send(kind, ready, now)

    def _send(self, kind: str, ready: bytes, due: float) -> None:
        self._timer = None
        self._let_go()
        self._transport.write(ready)
        if kind == "truncated":
            self._transport.close()
        world = self._world
        now = self._loop.time()
        world.last_reply = now
        world.replies += 1
        world.late += now - due

    def _let_go(self) -> None:
        if self._held == self._world.generation:
            self._world.in_flight -= 1
        self._held = -1

    def _control(self, what: bytes, body: bytes) -> bytes:
        world = self._world
        if what == b"GET /stats":
            return response("200 OK", json.dumps(world.stats()).encode())
        if what == b"POST /reset":
            try:
                world.behaviour = Behaviour(**json.loads(body or b"{}"))
            except (TypeError, ValueError) as error:
                return response("400 Bad Request", _error(str(error)))
            world.forget()
            return response("200 OK", json.dumps(dataclasses.asdict(world.behaviour)).encode())
        return response("404 Not Found", _error(f"no such path: {what.decode(errors='replace')}"))


async def serve(port: int, behaviour: Behaviour) -> None:
    """Answer until this process is ended."""
    world = World(behaviour)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(world), "127.0.0.1", port, backlog=1024)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


def main() -> None:
    """Read the command line: one option for each field of `Behaviour`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--port", type=int, default=0)
    kinds = {"seed": int, "cap": int}
    for field in dataclasses.fields(Behaviour):
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, type=kinds.get(field.name, float), default=field.default)
    given = vars(parser.parse_args())
    port = given.pop("port")
    try:
        asyncio.run(serve(port, Behaviour(**given)))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
