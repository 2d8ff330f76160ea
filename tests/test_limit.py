"""How many calls of a model are in flight, and what holds them back."""

import asyncio
import json
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Reply
from messages_server import MessagesServer
from simulated_time import simulated
from sums_project import number_in, solve, sums_project

from vlaa_thinking import Completion, Request, build
from vlaa_thinking.errors import ModelError, Transient
from vlaa_thinking.llm import Message
from vlaa_thinking.llm.anthropic import Anthropic
from vlaa_thinking.llm.limit import Limited
from vlaa_thinking.llm.openai import OpenAI
from vlaa_thinking.settings import Model

HELLO = Request(messages=(Message(role="user", text="Hello?"),), params={"model": "any", "max_tokens": 9})

REPLY_TAKES = 0.02
"""Seconds that an endpoint works on a reply."""


class Endpoint:
    """A model that takes so many calls at once, and turns away more than that, or a share of all."""

    def __init__(
        self,
        room: int = 10_000,
        *,
        share: float = 0.0,
        refusal_takes: float = REPLY_TAKES,
        retry_after: float | None = None,
    ) -> None:
        self.room = room
        self.share = share
        self.refusal_takes = refusal_takes
        self.retry_after = retry_after
        self.open = True
        self.in_flight = self.most = self.answered = self.refused = 0
        self.starts: list[float] = []
        self.steps: list[str] = []
        self._random = random.Random(7)

    async def __call__(self, request: Request, /) -> Completion:
        self.starts.append(asyncio.get_running_loop().time())
        self.steps.append(request.step)
        if not self.open or self.in_flight >= self.room or self._random.random() < self.share:
            await asyncio.sleep(self.refusal_takes)
            self.refused += 1
            raise Transient("status 429: slow down", retry_after=self.retry_after, rate_limited=True)
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            await asyncio.sleep(REPLY_TAKES)
        finally:
            self.in_flight -= 1
        self.answered += 1
        return Completion.of("Hello.")


async def ask_until_answered(gate: Limited, count: int, *, callers: int, each: Callable[[], None]) -> None:
    """Make `count` calls from so many callers; one that is turned away waits a moment outside the gate."""
    left = iter(range(count))
    rng = random.Random(3)

    async def caller() -> None:
        for _ in left:
            pause = REPLY_TAKES / 4
            while True:
                try:
                    await gate(HELLO)
                    break
                except Transient:
                    await asyncio.sleep(pause * rng.random())
                    pause = min(pause * 2, REPLY_TAKES * 8)
            each()

    await asyncio.gather(*(caller() for _ in range(callers)))


# --- how many ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("refusal_takes", [REPLY_TAKES, 0.0005])
def test_what_an_endpoint_takes_is_found(refusal_takes: float) -> None:
    async def run() -> None:
        endpoint = Endpoint(8, refusal_takes=refusal_takes, retry_after=30.0)
        gate = Limited(endpoint, 16)
        limits: list[int] = []
        began = time.monotonic()
        await ask_until_answered(gate, 400, callers=48, each=lambda: limits.append(gate.limit))
        taken = time.monotonic() - began
        assert endpoint.answered == 400
        assert all(4 <= limit <= 13 for limit in limits[40:]), limits
        assert 6 <= sum(limits[40:]) / len(limits[40:]) <= 10
        assert endpoint.refused / (endpoint.refused + endpoint.answered) < 0.25
        # Answered calls are in flight all the time, so nothing may close the gate for these 30 seconds.
        assert taken < 25

    asyncio.run(run())


def test_what_an_endpoint_takes_is_made_use_of() -> None:
    """Its 429s come at once, so that the places above what it takes could make many attempts a reply."""

    async def run() -> tuple[float, Endpoint]:
        endpoint = Endpoint(32, refusal_takes=REPLY_TAKES / 50)
        await ask_until_answered(Limited(endpoint, 64), 8000, callers=192, each=lambda: None)
        return asyncio.get_running_loop().time(), endpoint

    span, endpoint = simulated(run())
    ideal = 8000 * REPLY_TAKES / 32
    assert span < 1.1 * ideal
    assert endpoint.refused < 0.12 * endpoint.answered


def test_a_few_429s_cost_no_concurrency() -> None:
    async def run() -> None:
        endpoint = Endpoint(share=0.05)
        gate = Limited(endpoint, 16)
        limits: list[int] = []
        await ask_until_answered(gate, 400, callers=48, each=lambda: limits.append(gate.limit))
        assert endpoint.refused > 5
        assert set(limits) == {16}
        assert endpoint.most == 16

    asyncio.run(run())


def test_the_limit_comes_back() -> None:
    async def run() -> None:
        endpoint = Endpoint(2)
        gate = Limited(endpoint, 8)
        await ask_until_answered(gate, 40, callers=16, each=lambda: None)
        assert gate.limit < 5
        endpoint.room = 100
        await ask_until_answered(gate, 120, callers=16, each=lambda: None)
        assert gate.limit == 8

    asyncio.run(run())


def test_other_failures_cost_no_concurrency() -> None:
    async def broken(_request: Request, /) -> Completion:
        raise Transient("status 500: oops")

    async def run() -> None:
        gate = Limited(broken, 4)
        for _ in range(40):
            with pytest.raises(Transient):
                await gate(HELLO)
        assert gate.limit == 4  # what is no 429 says nothing about the rate

    asyncio.run(run())


# --- when ----------------------------------------------------------------------------------------------------


def test_where_all_are_turned_away_the_gate_closes_for_everyone() -> None:
    async def run() -> None:
        endpoint = Endpoint(retry_after=0.4)
        endpoint.open = False
        gate = Limited(endpoint, 4)
        waiting = [asyncio.create_task(gate(HELLO)) for _ in range(12)]
        await asyncio.sleep(REPLY_TAKES * 6)
        refused = endpoint.refused
        endpoint.open = True
        done, _ = await asyncio.wait(waiting)
        turned_away = [task for task in done if isinstance(task.exception(), Transient)]
        assert 4 <= refused == len(turned_away) <= 8  # the rest was never sent into it
        before, after = endpoint.starts[:refused], endpoint.starts[refused:]
        assert len(after) == 12 - refused
        assert min(after) - max(before) > 0.35

    asyncio.run(run())


def test_the_gate_stays_open_while_a_call_may_be_answered() -> None:
    """One slow reply is under way while everything else is turned away at once."""

    async def run() -> None:
        slow = asyncio.Event()
        asked = 0

        async def endpoint(_request: Request, /) -> Completion:
            nonlocal asked
            asked += 1
            if asked == 1:
                await slow.wait()
                return Completion.of("Hello.")
            if slow.is_set():
                return Completion.of("Hello.")
            raise Transient("status 429: slow down", retry_after=30.0, rate_limited=True)

        gate = Limited(endpoint, 4)
        first = asyncio.create_task(gate(HELLO))
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            for _ in range(5):  # more than a round trip
                with pytest.raises(Transient):
                    await gate(HELLO)
            assert gate.limit == 2
            slow.set()
            await first
            await gate(HELLO)

    asyncio.run(run())


def test_calls_of_later_steps_go_first() -> None:
    async def run() -> None:
        endpoint = Endpoint()
        gate = Limited(endpoint, 1)
        steps = ["caption", "caption", "verify", "distill", "rewrite", "caption", "verify"]
        await asyncio.gather(*(gate(Request(messages=(), step=step)) for step in steps))
        later = ["verify", "verify", "rewrite", "distill", "caption", "caption"]
        assert endpoint.steps == ["caption", *later]

    asyncio.run(run())


def test_calls_of_earlier_steps_go_first_once_no_more_rows_come() -> None:
    async def run() -> None:
        endpoint = Endpoint()
        gate = Limited(endpoint, 1)
        steps = ["caption", "caption", "verify", "distill", "rewrite", "caption", "verify"]
        calls = [asyncio.create_task(gate(Request(messages=(), step=step))) for step in steps]
        await asyncio.sleep(0)
        gate.catch_up()
        gate.catch_up()  # once said, it is so
        calls += [asyncio.create_task(gate(Request(messages=(), step="distill")))]
        await asyncio.gather(*calls)
        earlier = ["caption", "caption", "distill", "distill", "rewrite", "verify", "verify"]
        assert endpoint.steps == ["caption", *earlier]

    asyncio.run(run())


def test_the_last_round_trips_are_full() -> None:
    """80 rows of four calls are five round trips of 64; the later step first, they took eight."""

    async def run() -> float:
        gate = Limited(Endpoint(), 64)

        async def row() -> None:
            for step in ("caption", "distill", "rewrite", "verify"):
                await gate(Request(messages=(), step=step))

        rows = [asyncio.create_task(row()) for _ in range(80)]
        gate.catch_up()
        await asyncio.gather(*rows)
        return asyncio.get_running_loop().time() / REPLY_TAKES

    assert simulated(run()) < 6.1


def test_starts_are_spread_over_the_minute() -> None:
    async def run() -> None:
        endpoint = Endpoint()
        gate = Limited(endpoint, 16, rpm=1200)  # one each 50 ms
        await asyncio.gather(*(gate(HELLO) for _ in range(8)))
        first, *rest = endpoint.starts
        for number, start in enumerate(rest, start=1):
            assert start - first > 0.05 * number - 0.005

    asyncio.run(run())


# --- ending --------------------------------------------------------------------------------------------------


def test_draining_lets_calls_end_and_nothing_in() -> None:
    async def run() -> None:
        endpoint = Endpoint()
        gate = Limited(endpoint, 2)
        calls = [asyncio.create_task(gate(HELLO)) for _ in range(5)]
        await asyncio.sleep(0)
        await gate.drain(5)
        assert [task.done() for task in calls] == [True, True, False, False, False]
        late = asyncio.create_task(gate(HELLO))
        await asyncio.sleep(REPLY_TAKES * 3)
        assert (endpoint.answered, len(endpoint.starts), late.done()) == (2, 2, False)
        for task in (*calls, late):
            task.cancel()
        await asyncio.gather(*calls, late, return_exceptions=True)

    asyncio.run(run())


def test_draining_does_not_wait_for_ever() -> None:
    async def never(_request: Request, /) -> Completion:
        await asyncio.Event().wait()
        raise AssertionError

    async def run() -> None:
        gate = Limited(never, 2)
        call = asyncio.create_task(gate(HELLO))
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await gate.drain(0.05)
        assert not call.done()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

    asyncio.run(run())


def test_calls_that_wait_for_a_model_that_cannot_be_used_end_with_it() -> None:
    async def closed(_request: Request, /) -> Completion:
        await asyncio.sleep(0.01)
        raise ModelError("the account is closed")

    async def run() -> None:
        gate = Limited(closed, 1)
        async with asyncio.timeout(5):
            ended = await asyncio.gather(*(gate(HELLO) for _ in range(3)), return_exceptions=True)
            with pytest.raises(ModelError, match="closed"):
                await gate(HELLO)
        assert [str(error) for error in ended] == ["the account is closed"] * 3

    asyncio.run(run())


def test_a_cancelled_call_leaves_its_place_to_others() -> None:
    async def run() -> None:
        endpoint = Endpoint()
        gate = Limited(endpoint, 3)
        rng = random.Random(5)
        for _ in range(30):
            calls = [asyncio.create_task(gate(HELLO)) for _ in range(9)]
            await asyncio.sleep(rng.random() * REPLY_TAKES * 2)
            for task in rng.sample(calls, 7):
                task.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        endpoint.most = 0
        async with asyncio.timeout(10):
            await asyncio.gather(*(gate(HELLO) for _ in range(12)))
            await gate.drain(5)
        assert (endpoint.most, endpoint.in_flight) == (3, 0)

    asyncio.run(run())


def test_a_call_that_is_let_in_and_cancelled_at_once_leaves_its_place() -> None:
    async def run() -> None:
        held = asyncio.Event()

        async def endpoint(request: Request, /) -> Completion:
            await held.wait()
            if (
                request.step == "first"
            ):  # its place goes to the second, which is cancelled before it can take it
                asyncio.get_running_loop().call_soon(second.cancel)
            return Completion.of("Hello.")

        gate = Limited(endpoint, 1)
        first = asyncio.create_task(gate(Request(messages=(), step="first")))
        second = asyncio.create_task(gate(HELLO))
        third = asyncio.create_task(gate(HELLO))
        await asyncio.sleep(0)
        held.set()
        async with asyncio.timeout(5):
            await asyncio.gather(first, second, third, return_exceptions=True)
        assert (first.done(), second.cancelled(), third.exception()) == (True, True, None)

    asyncio.run(run())


# --- over the wire -------------------------------------------------------------------------------------------


def in_a_while() -> tuple[str, float]:
    """Name a whole second that is at least one second away, as Anthropic writes it; returns it with that second."""
    then = (datetime.now(UTC) + timedelta(seconds=2)).replace(microsecond=0)
    return then.isoformat().replace("+00:00", "Z"), 1.0


@pytest.mark.parametrize(
    ("status", "remaining", "reset", "seconds"),
    [
        (200, "x-ratelimit-remaining-requests", "600ms", 0.6),
        (200, "x-ratelimit-remaining-tokens", "0m0.5s", 0.5),
        (429, "x-ratelimit-remaining-requests", "0.5", 0.5),
        (200, "anthropic-ratelimit-requests-remaining", None, 1.0),
    ],
)
def test_everyone_rests_where_a_server_says_that_nothing_is_left(
    status: int, remaining: str, reset: str | None, seconds: float
) -> None:
    arrivals: list[float] = []
    claude = remaining.startswith("anthropic")

    def reply(body: dict[str, Any]) -> Reply:
        arrivals.append(time.monotonic())
        when = reset or in_a_while()[0]
        name = (
            remaining.replace("-remaining", "-reset") if claude else remaining.replace("remaining", "reset")
        )
        headers = {remaining: "0", name: when} if len(arrivals) == 1 else {remaining: "5", name: "60s"}
        said: dict[str, Any] = server.form(body, {"content": "Hello."}, 1)
        return (status if len(arrivals) == 1 else 200), headers, said

    async def run() -> None:
        api, kind = ("anthropic", Anthropic) if claude else ("openai", OpenAI)
        llm = kind("any", Model(api=api, base_url=server.url))
        gate = Limited(llm, 8)
        try:
            await asyncio.gather(gate(HELLO), return_exceptions=True)
            await asyncio.gather(*(gate(HELLO) for _ in range(5)))
        finally:
            await llm.aclose()

    with MessagesServer() if claude else ChatServer() as server:
        server.reply = reply
        asyncio.run(run())
    first, *rest = arrivals
    assert len(rest) == 5
    assert seconds * 0.9 < min(rest) - first < 20


@pytest.mark.parametrize("value", ["", "soon", "never mind", "2026-13-45T99:00:00Z"])
def test_a_header_that_nobody_understands_holds_nobody_back(value: str) -> None:
    def reply(body: dict[str, Any]) -> Reply:
        headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": value}
        return 200, headers, server.form(body, {"content": "Hello."}, 1)

    async def run() -> None:
        llm = OpenAI("any", Model(api="openai", base_url=server.url))
        gate = Limited(llm, 2)
        try:
            async with asyncio.timeout(20):
                for _ in range(4):
                    await gate(HELLO)
        finally:
            await llm.aclose()

    with ChatServer(reply) as server:
        asyncio.run(run())
    assert server.calls == 4


@pytest.mark.parametrize(("model", "before"), [("eye", 0), ("mind", 1)])
def test_a_wrong_set_up_costs_one_call(tmp_path: Path, model: str, before: int) -> None:
    def reply(body: dict[str, Any]) -> Reply:
        if body["model"] == model:
            return 401, {}, {"error": {"message": "who are you?"}}
        return solve(body)

    with ChatServer(reply, latency=0.05) as server:
        project = sums_project(tmp_path / "p", server.url, count=10, per_image=1)
        with pytest.raises(ModelError, match="who are you"):
            build(project, out=tmp_path / "out")
        asked = [body["model"] for body in server.requests]
    assert asked.count(model) == 1
    assert asked.index(model) >= before


def test_what_stops_a_build_loses_no_reply_under_way(tmp_path: Path) -> None:
    closed = threading.Event()
    many = threading.Event()

    def reply(body: dict[str, Any]) -> Reply:
        if closed.is_set():
            return solve(body)
        if body["model"] == "mind":
            assert many.wait(20)
            closed.set()
            return 401, {}, {"error": {"message": "who are you?"}}
        asked.append(body)
        if len(asked) >= 5:  # one alone, then four that are under way while `mind` is turned away
            many.set()
            assert closed.wait(20)
            time.sleep(0.3)
        return solve(body)

    asked: list[dict[str, Any]] = []
    with ChatServer(reply) as server:
        project = sums_project(tmp_path / "p", server.url, count=12, per_image=1)
        with pytest.raises(ModelError, match="who are you"):
            build(project, out=tmp_path / "out")
        turned_away = 1
        assert build(project, out=tmp_path / "out").funnel.rows == 12
        assert server.calls == turned_away + len({json.dumps(body) for body in server.requests})


def test_the_first_call_of_a_role_goes_alone(tmp_path: Path) -> None:
    def reply(body: dict[str, Any]) -> Reply:
        if body["model"] == "mind":
            arrived.append((time.monotonic(), number_in(body)))
        return solve(body)

    arrived: list[tuple[float, int]] = []
    with ChatServer(reply, latency=0.2) as server:
        project = sums_project(tmp_path / "p", server.url, count=4, per_image=4)
        build(project, out=tmp_path / "out")
    # The hook runs after the latency: the other three come at least another one later.
    first, *rest = sorted(arrived)
    assert min(rest)[0] - first[0] > 0.18
