"""What is known of all rows before a build: each walks on recorded answers alone, up to the first that is missing."""

from __future__ import annotations

import asyncio
import hashlib
import heapq
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vlaa_thinking.counts import Counts
from vlaa_thinking.pipeline import walk
from vlaa_thinking.prices import input_tokens
from vlaa_thinking.steps.policy import look_away

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vlaa_thinking.llm import Completion, Request
    from vlaa_thinking.record import Record
    from vlaa_thinking.setup import Setup


Stratum = tuple[str, str]
"""A source and an answer type: rows that cost alike."""

FEW = 4
"""Known rows from which on they speak for the others of their kind."""


@dataclass(slots=True)
class Way:
    """What one row asked, step by step."""

    calls: dict[str, list[tuple[float, int, int]]] = field(default_factory=lambda: defaultdict(list))
    """Estimated input, counted input and output tokens of each answered call."""
    missing: str | None = None
    """The step whose call is not made yet."""


@dataclass(slots=True)
class Survey:
    """What is known of all rows."""

    rows: int = 0
    known: dict[Stratum, list[Way]] = field(default_factory=lambda: defaultdict(list))
    """Whole ways."""
    open: dict[tuple[Stratum, str], int] = field(default_factory=lambda: defaultdict(int))
    """Rows by stratum and the step at which their way is not known yet."""
    asked: dict[tuple[Stratum, str], tuple[int, float]] = field(default_factory=dict)
    """Different calls to be made there, and their estimated input tokens."""
    cached: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    chosen: list[Record] = field(default_factory=list)
    """The rows to be run as a sample: of each stratum its share, those whose ids hash lowest."""
    blind: int = 0
    """Calls of the blind check to be made."""
    blind_tokens: list[float] = field(default_factory=list)
    """Estimated input tokens of those of them that are known."""
    _of_source: dict[str, list[Way]] = field(default_factory=dict)

    def like(self, stratum: Stratum) -> list[Way]:
        """Return the known ways that speak for a stratum: its own; where its source has one with few, that source's."""
        source = stratum[0]
        strata = {other for other, _ in self.open if other[0] == source}
        if all(len(self.known.get(other, ())) >= FEW for other in strata):
            return self.known[stratum]
        if source not in self._of_source:
            every = [(at[0], way) for at, ways in self.known.items() for way in ways]
            own = [way for at, way in every if at == source]
            self._of_source[source] = own if len(own) >= FEW else [way for _, way in every]
        return self._of_source[source]


async def look_over(setup: Setup, sample: int) -> Survey:
    """Walk every row on recorded answers."""
    survey = Survey()
    way = Way()
    stratum: Stratum = ("", "")
    seen: set[bytes] = set()

    def told(_model: str, request: Request, asked: bytes, completion: Completion | None) -> None:
        model = setup.context.players[setup.settings.prompts[request.step].head.role].model
        tokens = input_tokens(request, model)
        digest = hashlib.blake2b(asked, digest_size=16).digest()
        fresh = digest not in seen
        seen.add(digest)
        if completion is None:
            way.missing = request.step
            count, total = survey.asked.get((stratum, request.step), (0, 0.0))
            survey.asked[stratum, request.step] = (count + fresh, total + tokens * fresh)
            return
        survey.cached[request.step] += fresh
        usage = completion.usage
        way.calls[request.step].append(
            (tokens, usage.input_tokens or round(tokens), usage.output_tokens or 0)
        )

    context = setup.recalled(told)
    lowest: dict[Stratum, list[tuple[int, int, Record]]] = defaultdict(list)
    rows: dict[Stratum, int] = defaultdict(int)
    measured: list[tuple[int, int, Record]] = []
    for number, collected in enumerate(setup.collection()):
        record = collected.record
        way, stratum = Way(), (record.source, record.gold.answer_type)
        survey.rows += 1
        if record.outcome is not None:
            continue
        walked = await walk(record, context, Counts())
        if way.missing is None:
            survey.known[stratum].append(way)
        else:
            survey.open[stratum, way.missing] += 1
        rows[stratum] += 1
        _keep_lowest(lowest[stratum], sample, number, record)
        if walked.outcome is None and walked.policy_pass_rate is not None:
            _keep_lowest(measured, setup.settings.curate.policy.blind, number, walked)
        if number % 64 == 0:
            await asyncio.sleep(0)  # Ctrl-C and the display want their turn
            setup.stop.raise_if_wanted()
    for chosen, count in shares(rows, sample).items():
        survey.chosen += [record for _, _, record in sorted(lowest[chosen], reverse=True)[:count]]
    if "policy" in setup.context.players:
        records = [record for _, _, record in sorted(measured, reverse=True)]
        await _look_over_blind(setup, survey, records)
    return survey


def shares(rows: Mapping[Stratum, int], sample: int) -> dict[Stratum, int]:
    """Give each stratum its share of a sample, the larger remainders first."""
    total = max(1, sum(rows.values()))
    sample = min(sample, sum(rows.values()))
    exact = {stratum: sample * count / total for stratum, count in rows.items()}
    given = {stratum: int(share) for stratum, share in exact.items()}
    by_remainder = sorted(exact, key=lambda stratum: (given[stratum] - exact[stratum], stratum))
    for stratum in by_remainder[: sample - sum(given.values())]:
        given[stratum] += 1
    return given


def _keep_lowest(heap: list[tuple[int, int, Record]], most: int, number: int, record: Record) -> None:
    """Keep the rows whose ids hash lowest."""
    if most:
        heapq.heappush(heap, (-int(record.key[:16], 16), number, record))
        if len(heap) > most:
            heapq.heappop(heap)


async def _look_over_blind(setup: Setup, survey: Survey, records: list[Record]) -> None:
    """Count the calls of the blind check that are not made yet; rows that are not known yet will fill the sample."""
    answered = 0
    model = setup.context.players["policy"].model

    def told(_model: str, request: Request, _asked: bytes, completion: Completion | None) -> None:
        nonlocal answered
        if request.step == "curate":
            answered += completion is not None
            if completion is None:
                survey.blind_tokens.append(input_tokens(request, model))

    await look_away(records, setup.recalled(told))
    survey.cached["curate"] += answered
    survey.blind = len(survey.blind_tokens)
    if survey.open:
        sample = min(setup.settings.curate.policy.blind, survey.rows)
        survey.blind = max(survey.blind, 2 * sample - answered)
