"""What a build will ask and cost, before anything is spent.

Every row is walked on recorded answers alone, up to the first call that was not made yet. That call is known word
for word, so its input is counted; what follows it is foretold from rows whose whole way is known: a sample that is
really run (`sample`), or rows built earlier. Without any, rules of thumb stand in, and the plan says so.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlaa_thinking.batches.journal import Journal
from vlaa_thinking.certainty import Foretold, half_width, student
from vlaa_thinking.errors import SetupError
from vlaa_thinking.pipeline import walk
from vlaa_thinking.prices import price_of
from vlaa_thinking.result import Run
from vlaa_thinking.settings import MOST_IN_A_BATCH
from vlaa_thinking.setup import Options, Setup, made_ready
from vlaa_thinking.stop import run_to_end
from vlaa_thinking.survey import Stratum, Survey, Way, look_over

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vlaa_thinking.llm import LLM
    from vlaa_thinking.prices import Price
    from vlaa_thinking.project import Project
    from vlaa_thinking.record import Record

ASKING = ("caption", "distill", "rewrite", "verify", "curate")
"""The steps that ask a model; the last one only where a policy is cast."""

USUAL = {
    "caption": (1.0, 700.0, 350.0),
    "distill": (1.0, 700.0, 900.0),
    "rewrite": (0.5, 1100.0, 700.0),
    "verify": (0.3, 350.0, 40.0),
    "curate": (0.8, 900.0, 400.0),
}
"""Rules of thumb by step: calls a row where each is made once, input and output tokens a call."""

GUESS = 2.0
"""Without a sample a cost may be so many times larger or smaller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStep:
    """What one step is expected to take."""

    step: str
    model: str
    calls: float
    """Calls to be made."""
    cached: int
    """Calls that are answered already, and cost nothing."""
    input_tokens: float
    output_tokens: float
    low: float | None
    expected: float | None
    """US dollars, as the model is called; None where its price is not known."""
    high: float | None
    live: float | None = None
    """US dollars expected if every call is live; None where the price is not known."""
    batch: float | None = None
    """US dollars expected if they go in batches; None where the price is not known, or there are none."""
    by_batch: bool = False
    """Whether the model is in batch mode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a build is expected to take."""

    rows: int
    sampled: int
    """Rows whose whole way is known, on which the forecast rests; 0: rules of thumb."""
    steps: tuple[PlanStep, ...]
    spent: float
    """US dollars that the sample cost."""
    spread: float | None = None
    """US dollars by which the whole may be off on either side, 19 times out of 20; None: it rests on rules of thumb."""

    @property
    def low(self) -> float | None:
        """US dollars at the least."""
        if self.spread is None or self.expected is None:
            return _sum([s.low for s in self.steps])
        return max(0.0, self.expected - self.spread)

    @property
    def expected(self) -> float | None:
        """US dollars expected; None where a price is not known."""
        return _sum([s.expected for s in self.steps])

    @property
    def live(self) -> float | None:
        """US dollars expected if every call is live; None where a price is not known."""
        return _sum([s.live for s in self.steps])

    @property
    def batch(self) -> float | None:
        """US dollars expected with batches wherever there are any; None where a price is not known."""
        return _sum([s.live if s.batch is None else s.batch for s in self.steps])

    @property
    def high(self) -> float | None:
        """US dollars at the most."""
        if self.spread is None or self.expected is None:
            return _sum([s.high for s in self.steps])
        return self.expected + self.spread

    @property
    def within(self) -> float | None:
        """The share of what is expected by which it may be off; None: it rests on rules of thumb, or has no price."""
        return self.spread / self.expected if self.spread is not None and self.expected else None


def plan(
    project: Project,
    *,
    out: Path | str = "vlaa-dataset",
    profile: str | None = None,
    limit: int | None = None,
    seed: int | None = None,
    llms: Mapping[str, LLM] | None = None,
    sample: int = 0,
    run: Run | None = None,
) -> Plan:
    """Say what `build` with the same arguments will ask and cost.

    `sample` rows are really run first (their answers are kept, and cost nothing later); 0 spends nothing and
    needs no key. The sample is asked live, whatever the mode of its models. Raises `SetupError` as `build` does.
    """
    options = Options(
        project=project,
        out=out,
        profile=profile,
        limit=limit,
        seed=seed,
        llms=llms,
        run=run or Run(),
        ctrl_c=True,
    )
    return run_to_end(_plan(options, sample))


async def _plan(options: Options, sample: int) -> Plan:
    async with made_ready(options, calls=sample > 0, batches=False) as setup:
        if sample:
            _refuse_open_batches(setup)
        survey = await look_over(setup, sample)
        if survey.rows == 0:
            raise SetupError("the sources gave no rows: see the paths in generators/1_collect.toml")
        await setup.stop.watch(_run_sample(setup, survey.chosen), setup.context.gates)
        if survey.chosen:
            survey = await look_over(setup, 0)
        return _foretell(setup, survey)


def _refuse_open_batches(setup: Setup) -> None:
    """Refuse a sample whose rows may be in batches that have been sent: it would wait for them, or pay twice."""
    with closing(Journal(setup.places.batches)) as journal:
        waiting = sum(batch.ended is None for batch in journal.batches())
    if waiting:
        raise SetupError(
            f"batches of this build ({waiting}) are under way: plan without --sample, or build first to take them in"
        )


async def _run_sample(setup: Setup, chosen: list[Record]) -> None:
    """Run the sample's rows for real; their answers go to the cache."""
    async with setup.ending_whole():
        await asyncio.gather(*(walk(record, setup.context, setup.counts) for record in chosen))


def _foretell(setup: Setup, survey: Survey) -> Plan:
    """Add up what is to be asked, from the calls that are known and the ways that are."""
    totals = {step: [0.0, 0.0, 0.0, 0.0] for step in ASKING}  # calls, input, output, variance of the cost
    parts = []
    for (stratum, at), rows in survey.open.items():
        ways = survey.like(stratum)
        for step in _asking(setup)[ASKING.index(at) :]:
            _add(totals[step], setup, survey, stratum, step, ways, rows=rows, at=at)
        parts.append(_part(setup, survey, stratum, ways, rows=rows, at=at))
    known = [call for ways in survey.known.values() for way in ways for call in way.calls.get("curate", [])]
    tokens = _mean(survey.blind_tokens or [c[1] for c in known] or [USUAL["curate"][1]])
    totals["curate"][0] += survey.blind
    totals["curate"][1] += survey.blind * tokens
    totals["curate"][2] += survey.blind * _mean([c[2] for c in known] or [USUAL["curate"][2]])
    steps = tuple(_step(setup, survey, step, totals[step]) for step in _asking(setup))
    return Plan(
        rows=survey.rows,
        sampled=_sampled(survey),
        steps=steps,
        spent=setup.counts.spent,
        spread=half_width(parts) if all(_price(setup, step) for step in _asking(setup)) else None,
    )


def _part(setup: Setup, survey: Survey, stratum: Stratum, ways: list[Way], *, rows: int, at: str) -> Foretold:
    """Say what the known rows cost from the step `at` on, where a call that rows share is each one's in part."""
    shared = survey.asked[stratum, at][0] / _draws(setup, at) / rows
    costs = []
    for way in ways:
        if not way.calls.get(at):
            continue
        cost = 0.0
        for step in _asking(setup)[ASKING.index(at) :]:
            price = _price(setup, step)
            paid = sum(price.of(c[1], c[2]) for c in way.calls.get(step, ())) if price else 0.0
            cost += paid * (shared if step == at else 1.0)
        costs.append(cost)
    return Foretold(by=id(ways), rows=rows, costs=tuple(costs))


def _add(
    total: list[float],
    setup: Setup,
    survey: Survey,
    stratum: Stratum,
    step: str,
    ways: list[Way],
    *,
    rows: int,
    at: str,
) -> None:
    """Add the calls that `rows` rows, whose way is open from the step `at`, will make at `step`."""
    reached = [w for w in ways if w.calls.get(at)]
    here = [call for w in reached for call in w.calls.get(step, [])]
    share, mean_in, mean_out = _usual(setup, step)
    if reached:
        share = len(here) / len(reached)
    units = float(rows)
    estimated = None
    if step == at:
        first, estimated = survey.asked[stratum, at]
        units = first / _draws(setup, step)  # rows may share a call; a truncated reply is asked for once more
        share = share if reached else float(_draws(setup, step))
    calls = units * share
    if here:
        mean_in, mean_out = _mean([c[1] for c in here]), _mean([c[2] for c in here])
    tokens_in = calls * mean_in
    if estimated is not None:
        off = sum(c[1] for c in here) / sum(c[0] for c in here) if here else 1.0
        tokens_in = estimated * off * (share / _draws(setup, step))
    total[0] += calls
    total[1] += tokens_in
    total[2] += calls * mean_out
    price = _price(setup, step)
    if len(reached) > 1 and price is not None:
        costs = [sum(price.of(c[1], c[2]) for c in w.calls.get(step, ())) for w in reached]
        mean = _mean(costs)
        variance = sum((c - mean) ** 2 for c in costs) / (len(costs) - 1)
        total[3] += variance * (units**2 / len(costs) + units)


def _asking(setup: Setup) -> tuple[str, ...]:
    """List the steps that ask somebody."""
    return ASKING if "policy" in setup.context.players else ASKING[:-1]


def _draws(setup: Setup, step: str) -> int:
    """Say how many calls a row makes at once in a step."""
    settings = setup.settings
    draws = {"distill": settings.distill.samples, "verify": settings.verify.votes}
    return draws.get(step, settings.curate.policy.samples if step == "curate" else 1)


def _usual(setup: Setup, step: str) -> tuple[float, float, float]:
    """Apply the rule of thumb for a step to what the project's files say: calls a row, tokens in and out a call."""
    settings = setup.settings
    share, tokens_in, tokens_out = USUAL[step]
    if step == "rewrite" and settings.rewrite.send == "all":
        share = 1.0
    if step == "verify":
        draws = settings.distill.samples if settings.distill.samples > 1 else 0
        left_open = share if settings.verify.rules else 1.0
        policy = share * settings.curate.policy.samples if "policy" in setup.context.players else 0.0
        share = left_open * (1 + draws) + policy + settings.verify.both * (1 - left_open)
    return share * _draws(setup, step), tokens_in, tokens_out


def _step(setup: Setup, survey: Survey, step: str, total: list[float]) -> PlanStep:
    calls, tokens_in, tokens_out, variance = total
    player = setup.context.players[setup.settings.prompts[step].head.role]
    model = player.model

    def costs(price: Price | None) -> float | None:
        return 0.0 if calls == 0 else None if price is None else price.of(tokens_in, tokens_out)

    expected = costs(price_of(model))
    low = high = expected
    if expected:
        guessed = _sampled(survey) < 2
        spread = 0.0 if guessed else student(_sampled(survey) - 1) * math.sqrt(variance)
        low = expected / GUESS if guessed else max(0.0, expected - spread)
        high = expected * GUESS if guessed else expected + spread
    return PlanStep(
        step=step,
        model=player.name,
        calls=calls,
        cached=survey.cached[step],
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        low=low,
        expected=expected,
        high=high,
        live=costs(price_of(model, "live")),
        batch=costs(price_of(model, "batch")) if model.api in MOST_IN_A_BATCH else None,
        by_batch=model.mode == "batch",
    )


def _price(setup: Setup, step: str) -> Price | None:
    return price_of(setup.context.players[setup.settings.prompts[step].head.role].model)


def _sampled(survey: Survey) -> int:
    return sum(len(ways) for ways in survey.known.values())


def _mean(values: list[float] | list[int]) -> float:
    return sum(values) / len(values)


def _sum(parts: list[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None
