"""The arithmetic of benchmarks/scale.py, on cases that can be worked out by hand, and against a real build's calls."""

import asyncio
import random
import sys
from collections import Counter
from pathlib import Path

import pytest
from chat_server import ChatServer, Reply

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

import simulation
from providers import CASTS, LOAD, Asked, Batches, Endpoint, Load
from scale import worked_out
from server import STEPS, reply_text
from simulated_time import simulated
from simulation import batched, live
from work import make_project, make_rows

from vlaa_thinking import Project, build
from vlaa_thinking.errors import Transient

ALL: Load = {step: Asked(calls=1, input=100, output=50) for step in STEPS}
"""Four calls a row."""

ONE: Load = {**{step: Asked(calls=0, input=100, output=50) for step in STEPS}, "caption": ALL["caption"]}
"""A caption a row."""


def cast_of(
    *, rpm: int | None = None, tpm: int | None = None, concurrency: int | None = None
) -> dict[str, Endpoint]:
    """Let one model, with these limits, play all steps; a call takes 2 s."""
    model = Endpoint(name="gpt-4o", wait=1, speed=50, rpm=rpm, tpm=tpm, concurrency=concurrency)
    return dict.fromkeys(STEPS, model)


@pytest.fixture
def even(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make all replies of a step of one length."""
    monkeypatch.setattr(simulation, "SIGMA", 0.0)


@pytest.mark.usefixtures("even")
def test_simulated_time_is_the_closed_form_and_the_last_calls() -> None:
    # 60 a minute: a start each second, and the last call takes 2; the first one goes alone, so one start is late by 1.
    ran = live(30, cast_of(rpm=60), ONE)
    assert worked_out(30, cast_of(rpm=60), ONE) == (30, "gpt-4o: calls a minute")
    assert ran.seconds == pytest.approx(30 - 1 + 2 + 1, abs=0.2)
    # 150 tokens a call, 3,000 a minute: a start each 3 seconds, after a first estimate of 4 x 50 tokens for the reply.
    ran = live(30, cast_of(tpm=3_000), ONE)
    assert worked_out(30, cast_of(tpm=3_000), ONE) == (90, "gpt-4o: tokens a minute")
    assert ran.seconds == pytest.approx(29 * 3 + 2, abs=3)
    # 10 in flight, 120 calls of 2 s: 12 rounds, a first call alone by step, and the rows that are left at the end.
    ran = live(30, cast_of(concurrency=10), ALL)
    assert worked_out(30, cast_of(concurrency=10), ALL) == (24, "gpt-4o: calls in flight")
    assert 24 <= ran.seconds <= 24 + 4 * 2 + 4 * 2
    assert ran.in_flight == 10
    assert ran.turned_away == 0


def test_calls_and_cost_are_those_of_the_rows() -> None:
    ran = live(40, cast_of(concurrency=10), ALL)
    assert ran.calls == dict.fromkeys(STEPS, 40)
    assert ran.cost == pytest.approx(160 * (100 * 2.5 + 50 * 10) / 1e6)  # gpt-4o's prices in the kept list
    halves: Load = {**ALL, "verify": Asked(calls=0.5, input=100, output=50)}
    assert 5 < live(40, cast_of(concurrency=10), halves).calls["verify"] < 35


def test_a_provider_turns_away_what_is_beyond_its_limits() -> None:
    async def work() -> None:
        ran = simulation.Ran()
        end = Endpoint(name="gpt-4o", rpm=60, concurrency=62, wait=1, speed=50)
        provider = simulation.Provider(end, ONE, ran, random.Random(0))
        request = simulation.request_for("caption", ONE)
        asked = await asyncio.gather(*(provider(request) for _ in range(70)), return_exceptions=True)
        assert sum(isinstance(said, Transient) for said in asked) == ran.turned_away == 70 - 61
        await asyncio.sleep(1)
        await provider(request)

    simulated(work())


def test_batches_are_worked_out_lot_by_lot() -> None:
    def hours(rows: int, batches: Batches, live_step: str = "") -> float:
        cast = dict.fromkeys(STEPS, Endpoint(name="gpt-4o", wait=1, speed=50, batches=batches))
        if live_step:
            cast[live_step] = Endpoint(name="gpt-4o-mini", concurrency=10, wait=1, speed=50)
        ran = batched(rows, cast, ALL, turnaround=3600, image_bytes=0, upload=1e12)
        return ran.seconds / 3600

    wide = Batches(queued=10**9, requests=100)
    assert hours(100, wide) == pytest.approx(4)  # a lot waits a batch a step
    assert hours(1000, wide) == pytest.approx(4)  # and so do ten, side by side
    # Room for 200 requests in the queue, 50 for each step: two files of 25 at once, so 100 rows go in two waves.
    narrow = Batches(queued=200 * 100, requests=25)
    assert hours(100, narrow) == pytest.approx(5)
    # A live step instead: 1,000 calls of 2 s, 10 in flight.
    assert hours(1000, wide, "distill") == pytest.approx(3 + (200 + 2) / 3600)
    cast = dict.fromkeys(STEPS, Endpoint(name="gpt-4o", wait=1, speed=50, batches=wide))
    slow = batched(100, cast, ALL, turnaround=0, image_bytes=300_000, upload=1e6)
    assert slow.seconds == pytest.approx(100 * (400 + 400_000) / 1e6, rel=0.01)
    assert slow.cost == pytest.approx(400 * (100 * 2.5 + 50 * 10) / 1e6 / 2)


def test_the_real_casts_have_a_limit_each() -> None:
    for cast in CASTS.values():
        for step in STEPS:
            assert all(rate > 0 for _, rate in cast[step].limits(LOAD))
        seconds, why = worked_out(1000, cast, LOAD)
        twice, again = worked_out(2000, cast, LOAD)
        assert (twice, again) == (2 * seconds, why)


def test_a_real_build_makes_the_calls_that_are_simulated(tmp_path: Path) -> None:
    rows, asked = 12, Counter[str]()

    def say(body: dict[str, object]) -> Reply:
        text = str(body)
        step = next(step for step in STEPS if f"bench-{step}" in text)
        at = text.index("row ", text.index("row ")) + 4
        asked[step] += 1
        return reply_text(step, text[at : at + 6])

    data = make_rows(tmp_path / "data", rows, least=2000, most=2000)
    with ChatServer(say) as server:
        project = make_project(tmp_path / "project", data, server.url, max_concurrency=8)
        result = build(Project.open(project), out=tmp_path / "out")
    assert result.kept == rows
    assert dict(asked) == live(rows, cast_of(concurrency=8), ALL).calls
