"""A simulated clock and provider, in front of which the project's own limiter decides when each call starts.

`live` runs rows through `Retrying(Limited(...))` as a build does, on an event loop whose clock jumps to what happens
next: hours pass in seconds. `batched` is a recurrence over the batches of a build in batch mode.
"""

from __future__ import annotations

import asyncio
import math
import random
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from providers import BATCH_PRICE, STEPS, Endpoint
from simulated_time import simulated

from vlaa_thinking.counts import Counts
from vlaa_thinking.errors import Transient
from vlaa_thinking.llm import Completion, Message, Request, Usage
from vlaa_thinking.llm.limit import Limited
from vlaa_thinking.llm.pace import Tokens
from vlaa_thinking.llm.wrap import Retrying, Standing
from vlaa_thinking.prices import CHARS_PER_TOKEN
from vlaa_thinking.settings import WINDOW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from providers import Asked, Load

SIGMA = 0.5
"""Of the logarithm of a reply's length: a few are three times the mean."""


@dataclass(slots=True, kw_only=True)
class Ran:
    """What a simulated build took."""

    seconds: float = 0.0
    calls: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STEPS, 0))
    cost: float = 0.0
    """US dollars."""
    turned_away: int = 0
    """Attempts that got a 429."""
    in_flight: int = 0
    """Most calls at once."""


class Provider:
    """An endpoint that answers after its time, and turns away what is beyond its limits.

    At most a minute's worth of calls and tokens may be taken at once; what was taken comes back evenly.
    """

    def __init__(self, endpoint: Endpoint, load: Load, ran: Ran, chance: random.Random) -> None:
        """Answer the steps of `load`, and note in `ran` what was asked."""
        self._endpoint = endpoint
        self._load = load
        self._ran = ran
        self._chance = chance
        self._in_flight = 0
        self._room = {"calls": 0.0, "tokens": 0.0}
        """The times at which what was taken so far will have come back."""

    async def __call__(self, request: Request, /) -> Completion:
        """Answer one request."""
        asked, end = self._load[request.step], self._endpoint
        written = max(1, round(asked.output * self._chance.lognormvariate(-(SIGMA**2) / 2, SIGMA)))
        tokens = round(asked.input) + written
        if not self._takes(tokens):
            self._ran.turned_away += 1
            raise Transient("status 429: slow down", rate_limited=True)
        self._in_flight += 1
        self._ran.in_flight = max(self._ran.in_flight, self._in_flight)
        try:
            await asyncio.sleep(end.seconds(written))
        finally:
            self._in_flight -= 1
        self._ran.calls[request.step] += 1
        return Completion.of("", usage=Usage(input_tokens=round(asked.input), output_tokens=written))

    def _takes(self, tokens: int) -> bool:
        end, now = self._endpoint, asyncio.get_running_loop().time()
        if end.concurrency is not None and self._in_flight >= end.concurrency:
            return False
        rates = {"calls": (end.rpm, 1), "tokens": (end.tpm, tokens)}
        for what, (a_minute, _) in rates.items():
            if a_minute and self._room[what] > now + 60:  # a whole minute's worth is taken
                return False
        for what, (a_minute, amount) in rates.items():
            if a_minute:
                self._room[what] = max(self._room[what], now) + 60 * amount / a_minute
        return True


def live(rows: int, cast: Mapping[str, Endpoint], load: Load, *, seed: int = 0) -> Ran:
    """Simulate the calls of a build that asks at once, with limits set in models.toml to the provider's."""
    return simulated(_live(rows, cast, load, seed))


async def _live(rows: int, cast: Mapping[str, Endpoint], load: Load, seed: int) -> Ran:
    ran, chance = Ran(), random.Random(seed)
    gates: dict[str, Retrying] = {}
    limits: list[Limited] = []
    summed = 0
    for endpoint in cast.values():
        if endpoint.name in gates:
            continue
        share = {step: load[step] for step in STEPS if cast[step] == endpoint}
        model = endpoint.model(share)
        summed += model.max_concurrency
        tokens = Tokens(model, model.tpm) if model.tpm else None
        provider = Provider(endpoint, load, ran, chance)
        limited = Limited(provider, model.max_concurrency, rpm=model.rpm, tokens=tokens)
        limits.append(limited)
        gates[endpoint.name] = Retrying(
            limited,
            name=endpoint.name,
            hint="",
            tries=model.tries,
            standing=Standing(recorded=lambda: True),
            counts=Counts(),
        )
    requests = {step: request_for(step, load) for step in STEPS}
    room = asyncio.Semaphore(WINDOW * summed)

    async def one(steps: list[str]) -> None:
        try:
            for step in steps:
                await gates[cast[step].name](requests[step])
        finally:
            room.release()

    async with asyncio.TaskGroup() as group:
        for _ in range(rows):
            steps = [step for step in STEPS if chance.random() < load[step].calls]
            await room.acquire()
            group.create_task(one(steps))
        for limited in limits:
            limited.catch_up()
    ran.seconds = asyncio.get_running_loop().time()
    ran.cost = cost_of(ran.calls, cast, load)
    return ran


def request_for(step: str, load: Load) -> Request:
    """Make a request that is estimated at the tokens that the step reads and may write."""
    text = "x" * round((load[step].input - 4) * CHARS_PER_TOKEN)
    params = {"max_tokens": round(4 * load[step].output)}
    return Request(messages=(Message(role="user", text=text),), params=params, role=step, step=step)


def cost_of(
    calls: Mapping[str, float], cast: Mapping[str, Endpoint], load: Load, *, in_batches: bool = False
) -> float:
    """Return US dollars, by the price list that `plan` uses; calls in batches cost half."""
    total = 0.0
    for step, count in calls.items():
        share = BATCH_PRICE if in_batches and cast[step].batches else 1.0
        total += share * count * cast[step].price().of(load[step].input, load[step].output)
    return total


def batched(
    rows: int,
    cast: Mapping[str, Endpoint],
    load: Load,
    *,
    turnaround: float,
    image_bytes: int,
    upload: float,
) -> Ran:
    """Follow the lots of a build in batch mode through all steps.

    A lot is as many rows as the tightest limit on a file or a queue lets go together. It is uploaded (a step's lots one
    after the other, `upload` bytes a second), waits for room in its model's queue, which the model's steps share by
    their tokens, and comes back after `turnaround`; a step without a batch endpoint is asked live, lot after lot.
    """
    room = {step: _room(step, cast, load, image_bytes) for step in STEPS}
    lot = max(1, min(room[step][0] for step in STEPS))
    ready = [0.0] * math.ceil(rows / lot)
    for step in STEPS:
        endpoint, asked = cast[step], load[step]
        through = 0.0
        for number, since in enumerate(ready):
            count = asked.calls * min(lot, rows - number * lot)
            if endpoint.batches is None:
                through = max(since, through) + count / min(
                    rate for _, rate in endpoint.limits({step: asked})
                )
                ready[number] = through + endpoint.seconds(asked.output)
            else:
                through = max(since, through) + count * _weight(step, asked, image_bytes) / upload
                together = max(1, room[step][1] // lot)
                before = ready[number - together] if number >= together else 0.0
                ready[number] = max(through, before) + turnaround
    calls = {step: load[step].calls * rows for step in STEPS}
    return Ran(
        seconds=max(ready),
        calls={step: round(count) for step, count in calls.items()},
        cost=cost_of(calls, cast, load, in_batches=True),
    )


def _room(step: str, cast: Mapping[str, Endpoint], load: Load, image_bytes: int) -> tuple[int, int]:
    """Say how many rows a file of this step holds, and how many its model's queue does."""
    batches, asked = cast[step].batches, load[step]
    if batches is None:
        return sys.maxsize, sys.maxsize
    tokens = sum(load[other].calls * load[other].input for other in STEPS if cast[other] == cast[step])
    queued = int(batches.queued / tokens)
    fits = min(batches.requests, batches.size / _weight(step, asked, image_bytes)) / asked.calls
    return min(int(fits), queued), queued


def _weight(step: str, asked: Asked, image_bytes: int) -> float:
    """Return the bytes of a request: text, and with a caption's an image in base64."""
    return CHARS_PER_TOKEN * asked.input + (4 / 3 * image_bytes if step == "caption" else 0)
