"""How fast calls start: `rpm` and `tpm`, against a server that counts tokens and notes when each call came."""

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Reply
from sums_project import ROLES, image_urls, solve, sums_project, toml

from vlaa_thinking import Completion, Request, build
from vlaa_thinking.errors import ProjectError, Transient
from vlaa_thinking.llm import Message
from vlaa_thinking.llm.limit import CATCHING_UP, Limited
from vlaa_thinking.llm.openai import OpenAI
from vlaa_thinking.llm.pace import Pace, Tokens
from vlaa_thinking.settings import Model


class Meter:
    """Answers with so many tokens in its usage, and notes when each call came."""

    def __init__(self, tokens: Callable[[dict[str, Any]], int]) -> None:
        self.tokens = tokens
        self.arrivals: list[tuple[float, int]] = []
        self.say: Callable[[dict[str, Any]], Reply] = lambda _: "Hello."
        self.held = threading.Event()
        self.held.set()
        self._lock = threading.Lock()

    def __call__(self, body: dict[str, Any]) -> Reply:
        tokens = self.tokens(body)
        with self._lock:
            self.arrivals.append((time.monotonic(), tokens))
        self.held.wait(60)
        said = self.say(body)
        assert not isinstance(said, tuple)
        message = {"content": said} if isinstance(said, str) else said
        return message | {"usage": {"prompt_tokens": 20, "completion_tokens": tokens - 20}}

    def most_beyond(self, a_second: float) -> float:
        """Return by how many tokens any stretch of time held more than `a_second` allows."""
        beyond = 0.0
        for first, (began, _) in enumerate(self.arrivals):
            taken = 0
            for when, tokens in self.arrivals[first:]:
                beyond = max(beyond, taken - a_second * (when - began))
                taken += tokens
        return beyond


@pytest.fixture
def meter() -> Meter:
    return Meter(lambda _: 100)


@pytest.fixture
def server(meter: Meter) -> Iterator[ChatServer]:
    with ChatServer(meter) as chat:
        yield chat
        meter.held.set()


def asked(max_tokens: int = 900, *, step: str = "distill") -> Request:
    words = (Message(role="user", text="How are you?"),)
    return Request(messages=words, params={"model": "m", "max_tokens": max_tokens}, step=step)


def through_a_gate(
    server: ChatServer, use: Callable[[Limited], Awaitable[None]], *, tpm: int, limit: int = 8
) -> None:
    """Let `use` make its calls through a gate of so many tokens a minute, over connections that stand already."""

    async def run() -> None:
        model = Model(api="openai", base_url=server.url, tpm=tpm)
        llm = OpenAI("m", model)
        gate = Limited(llm, limit, tokens=Tokens(model, tpm))
        try:
            await asyncio.gather(*(llm(asked()) for _ in range(limit)))
            assert isinstance(server.reply, Meter)
            server.reply.arrivals.clear()
            server.max_in_flight = 0
            async with asyncio.timeout(50):
                await use(gate)
        finally:
            await llm.aclose()

    asyncio.run(run())


# --- tokens --------------------------------------------------------------------------------------------------


def test_tokens_are_spread_over_the_minute(server: ChatServer, meter: Meter) -> None:
    """100 tokens a call at 2,000 a second: a call each 50 ms, once the first reply says what one takes."""

    async def use(gate: Limited) -> None:
        await asyncio.gather(*(gate(asked()) for _ in range(20)))

    through_a_gate(server, use, tpm=120_000)
    assert len(meter.arrivals) == 20
    assert meter.most_beyond(2000) < 500
    assert meter.arrivals[-1][0] - meter.arrivals[0][0] > 0.05 * 19 * 0.8


def test_replies_of_any_length_are_settled_from_usage(server: ChatServer, meter: Meter) -> None:
    rng = random.Random(3)
    meter.tokens = lambda _: round(100 * rng.lognormvariate(0, 1))

    async def use(gate: Limited) -> None:
        await asyncio.gather(*(gate(asked()) for _ in range(40)))

    through_a_gate(server, use, tpm=240_000)
    assert len(meter.arrivals) == 40
    assert meter.most_beyond(4000) < 4000  # what is left of the last second may be caught up


def test_a_call_larger_than_a_minute_goes_alone(server: ChatServer, meter: Meter) -> None:
    """900 tokens of 600 a minute: it goes at once, and nothing beside it until what it took is known."""
    meter.tokens = lambda _: 30

    async def use(gate: Limited) -> None:
        meter.held.clear()
        calls = [asyncio.create_task(gate(asked())) for _ in range(3)]
        await asyncio.sleep(0.3)
        assert len(meter.arrivals) == 1
        meter.held.set()  # 30 tokens: 3 seconds of the flow
        await calls[0]
        done, _ = await asyncio.wait(calls[1:], return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == 1
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    through_a_gate(server, use, tpm=600)
    (first, _), (second, _), *_ = meter.arrivals
    assert second - first > 2.9
    assert server.max_in_flight == 1


def test_a_call_that_waits_for_tokens_holds_no_slot(server: ChatServer, meter: Meter) -> None:
    async def use(gate: Limited) -> None:
        await gate(asked())
        calls = [asyncio.create_task(gate(asked(step="verify"))) for _ in range(4)]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(5):
            await gate.drain(40)  # nobody is in
        assert len(meter.arrivals) == 1
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    through_a_gate(server, use, tpm=600, limit=1)


@pytest.mark.parametrize(("status", "again"), [(429, True), (503, True), (500, False)])
def test_what_was_turned_away_took_no_tokens(server: ChatServer, *, status: int, again: bool) -> None:
    """900 tokens of 600 a minute, reserved for an attempt that failed: given back, unless a model worked on it."""

    async def use(gate: Limited) -> None:
        answer, before = server.reply, server.calls
        server.reply = lambda _: (status, {}, {"error": {"message": "not now"}})
        with pytest.raises(Transient):
            await gate(asked())
        server.reply = answer
        call = asyncio.create_task(gate(asked()))
        await asyncio.wait([call], timeout=10 if again else 0.5)
        assert server.calls - before == (2 if again else 1)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

    through_a_gate(server, use, tpm=600)


def test_a_refused_request_took_no_tokens(server: ChatServer) -> None:
    async def use(gate: Limited) -> None:
        answer = server.reply
        server.reply = lambda _: (400, {}, {"error": {"message": "too long"}})
        assert (await gate(asked())).state == "refused"
        server.reply = answer
        assert (await gate(asked())).state == "ok"

    through_a_gate(server, use, tpm=600)


def test_a_cancelled_call_gives_its_tokens_back(server: ChatServer, meter: Meter) -> None:
    """It was let in at the very moment at which it was cancelled, so it was never made."""
    meter.tokens = lambda _: 21

    async def use(gate: Limited) -> None:
        held, inner = asyncio.Event(), gate._inner

        async def first_waits(request: Request, /) -> Any:
            if request.step == "caption":
                await held.wait()
                asyncio.get_running_loop().call_soon(second.cancel)
            return await inner(request)

        gate._inner = first_waits
        first = asyncio.create_task(gate(asked(1, step="caption")))
        second = asyncio.create_task(gate(asked()))
        await asyncio.sleep(0)
        held.set()
        await asyncio.gather(first, second, return_exceptions=True)
        assert second.cancelled()
        await gate(asked(1, step="verify"))  # 900 tokens of 600 a minute would hold it back

    through_a_gate(server, use, tpm=600, limit=1)


def test_a_build_keeps_within_its_tokens_a_minute(tmp_path: Path, server: ChatServer, meter: Meter) -> None:
    """One model plays all roles; its tokens are those of all of them."""

    def say(body: dict[str, Any]) -> Reply:
        return solve({**body, "model": "eye" if image_urls(body) else "mind"})

    meter.say = say
    meter.tokens = lambda body: 200 if image_urls(body) else 50
    project = sums_project(tmp_path / "p", server.url, count=12, per_image=1)
    rows = (project.root / "rows.jsonl").read_text().splitlines(keepends=True)
    (project.root / "rows.jsonl").write_text("".join(rows[n] for n in (0, 7, 8, 9)))
    model = {"api": "openai", "base_url": server.url, "model": "all", "tpm": 60_000}
    cast = {**dict.fromkeys(ROLES, "all"), "sources": ["sums"]}
    text = f'default = "mine"\n[profile.mine]\n{toml(cast)}\n[model.all]\n{toml(model)}\n'
    (project.root / "generators/models.toml").write_text(text)
    assert build(project, out=tmp_path / "out").kept == 4
    assert meter.most_beyond(1000) < 1000 + 250


@pytest.mark.parametrize(("key", "value"), [("tpm", 0), ("tpm", -5), ("rpm", 0)])
def test_a_limit_a_minute_is_at_least_one(tmp_path: Path, key: str, value: int) -> None:
    project = sums_project(tmp_path / "p", "http://127.0.0.1:9/v1", count=1, **{key: value})
    with pytest.raises(
        ProjectError, match=rf'models.toml, line \d+: in \[model.eye\], "{key}" must be at least 1'
    ):
        build(project, out=tmp_path / "out")


# --- calls ---------------------------------------------------------------------------------------------------


def test_a_late_start_is_caught_up_and_idle_time_is_not() -> None:
    pace = Pace(60.0, slack=0.1)
    pace.take(1, now=100.0)
    assert pace.opens == 101.0
    pace.take(1, now=101.05)  # a busy event loop came 50 ms late
    assert pace.opens == 102.0
    pace.take(1, now=500.0)  # nobody asked for a while
    assert pace.opens == pytest.approx(500.9)


def test_calls_a_minute_keep_their_rate_where_they_come_fast(server: ChatServer) -> None:
    began: list[float] = []

    async def run() -> None:
        llm = OpenAI("m", Model(api="openai", base_url=server.url))

        async def noted(request: Request, /) -> Completion:
            began.append(time.monotonic())
            return await llm(request)

        gate = Limited(noted, 64, rpm=12_000)  # one each 5 ms
        try:
            await asyncio.gather(*(gate(asked()) for _ in range(60)))
        finally:
            await llm.aclose()

    asyncio.run(run())
    assert server.calls == len(began) == 60
    # 59 gaps of 5 ms, but for what may be caught up; a slow machine only makes them longer
    assert began[-1] - began[0] > 59 * 0.005 - CATCHING_UP - 0.005
