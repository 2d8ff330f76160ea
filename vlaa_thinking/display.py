"""What a person sees of a build: a live table while it runs, and what came of it."""

from __future__ import annotations

import json
import math
import re
import time
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from vlaa_thinking.counts import GATHERING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from vlaa_thinking.counts import Counts
    from vlaa_thinking.forecast import Plan
    from vlaa_thinking.measuring import Difficulty
    from vlaa_thinking.record import Record
    from vlaa_thinking.result import BuildResult
    from vlaa_thinking.trace import Exchange, Trace

PLAIN_EVERY = 5.0
"""Seconds between two lines where there is no terminal."""

MOST_BATCHES = 12
"""Batches that are shown one by one."""

NEAR = 0.1
"""How near a plan should come to what a build then costs: where it does not, a larger sample is proposed."""


C = TypeVar("C")


class Drawing(Generic[C]):
    """A live display of counts; plain lines where there is no terminal."""

    def __init__(
        self, console: Console, table: Callable[[C], RenderableType], line: Callable[[C], Text]
    ) -> None:
        """Draw a table and a line on `console`; the line alone where there is no terminal."""
        self._console = console
        self._table = table
        self._line = line
        self._live = (
            Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        )
        self._last = time.monotonic()

    def __enter__(self) -> Self:
        """Begin to draw."""
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        if self._live:
            self._live.stop()

    def __call__(self, counts: C) -> None:
        """Draw the counts as they are now."""
        if self._live:
            self._live.update(Group(self._table(counts), self._line(counts)), refresh=True)
        elif time.monotonic() - self._last >= PLAIN_EVERY:
            self._last = time.monotonic()
            self._console.print(self._line(counts), soft_wrap=True)


class Progress(Drawing["Counts"]):
    """A live display of a build's counts."""

    def __init__(self, console: Console) -> None:
        """Draw on `console`."""
        super().__init__(console, _steps, _line)


def _steps(counts: Counts) -> RenderableType:
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    table.add_column("step", no_wrap=True)
    for name in ("done", "under way", "dropped", "failed"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, step in counts.steps.items():
        if name != "curate":
            table.add_row(name, *map(_count, (step.done, step.under_way, step.dropped, step.failed)))
    return Group(table, Text(""), _batches(counts)) if counts.batches else table


def _batches(counts: Counts) -> Table:
    """Show each batch's state and age, the latest last."""
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for name in ("batch of", "roles", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("age", "done", "failed", "of"):
        table.add_column(name, justify="right", no_wrap=True)
    shown = list(counts.batches.values())
    for batch in shown[-MOST_BATCHES:]:
        numbers = map(_count, (batch.done, batch.failed, batch.requests))
        words = (batch.model, batch.roles, batch.state)
        table.add_row(*map(Text, words), clock(max(0.0, time.time() - batch.since)), *numbers)
    if len(shown) > MOST_BATCHES:
        table.add_row(f"and {len(shown) - MOST_BATCHES:,} older ones")
    return table


def _line(counts: Counts) -> Text:
    ended, expected = counts.rows_ended, counts.expected
    rows = f"{ended:,} of {expected:,} rows" if expected else f"{ended:,} rows"
    parts = [rows, f"{counts.made:,} calls made", f"{counts.spared:,} spared"]
    if counts.spent or counts.saved:
        parts.append(f"{_money(counts.spent, counts.unpriced)} spent, {_money(counts.saved, 0)} saved")
    if counts.retries:
        parts.append(f"{counts.retries:,} tried again")
    sent = [batch for batch in counts.batches.values() if batch.state != GATHERING]
    if sent:
        requests = sum(batch.requests for batch in sent)
        oldest = clock(max(0.0, time.time() - min(batch.since for batch in sent)))
        parts.append(f"batches under way: {len(sent):,} of {requests:,} requests, the oldest for {oldest}")
    parts.append(f"{clock(counts.seconds)} elapsed")
    if counts.stopping:
        parts.append("stopping: waiting for replies under way, Ctrl-C ends at once")
    elif expected and 0 < ended < expected:
        parts.append(f"about {clock(counts.seconds / ended * (expected - ended))} to go")
    elif expected and ended >= expected:
        pairs = f"comparing images that look alike: {counts.compared:,} pairs"
        parts.append(pairs if counts.comparing else "writing")
    return Text(" · ".join(parts))


def _count(number: int) -> str:
    return f"{number:,}" if number else "."


def _money(dollars: float, unpriced: int) -> str:
    """Write an amount; what is not known is said, never taken for nothing."""
    known = f"${dollars:,.2f}" if dollars >= 1 or not dollars else f"${dollars:.4f}"
    return f"{known} + {unpriced:,} calls of unknown price" if unpriced else known


def clock(seconds: float) -> str:
    """Write a duration: "1:05" or "2:00:00"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


AGAIN = "Run the same command again to try them."
"""What to do about rows that failed in a build."""

AFTER_MERGE = (
    "Build their shards again and merge, or `vlaa-thinking build` OUT in one piece: it asks for them alone."
)
"""And in a merge."""


def report(result: BuildResult, console: Console, *, again: str = AGAIN) -> None:
    """Print what a build came to: the funnel, the sum, the calls, how to load it, and what to do `again`."""
    funnel = result.funnel
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    table.add_column("step", no_wrap=True)
    for name in ("in", "out", "dropped", "failed"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for step in funnel.steps:
        why = ", ".join(f"{code} {count:,}" for code, count in step.dropped.items())
        counts = (step.rows_in, step.rows_out, sum(step.dropped.values()), step.failed)
        table.add_row(step.step, *map(_count, counts), Text(why))
    console.print(table)
    say = sayer(console)
    say("")
    left = f" ({funnel.not_taken:,} more were not taken)" if funnel.not_taken else ""
    kept = f"{funnel.waiting:,} to be curated" if result.shard else f"{funnel.kept:,} kept"
    say(f"{funnel.rows:,} rows in = {kept} + {funnel.dropped:,} dropped + {funnel.failed:,} failed{left}")
    rejected = {"rejected": {"train": funnel.dropped}} if funnel.dropped and result.out else {}
    for config, parts in {**funnel.splits, **rejected}.items():
        say(f"  {config}: " + ", ".join(f"{part} {count:,}" for part, count in parts.items()))
    told = [_RATES[rate.stage].format(*map(_percent, (rate.here, *rate.paper))) for rate in result.rates]
    if told:
        say(f"kept (beside the paper's sources): {', '.join(told)}")
    say(f"{result.calls:,} calls made, {result.spared:,} spared, {result.seconds:.1f} s")
    if result.spent or result.saved:
        say(f"{_money(result.spent, result.unpriced)} spent, {_money(result.saved, 0)} saved")
    elif result.unpriced:
        say(
            f"what the calls cost is unknown: generators/models.toml names no prices for {result.unpriced:,} of them"
        )
    say("")
    _tell_place(result, say)
    if funnel.failed:
        say("")
        say(f"{funnel.failed:,} rows failed: their model gave no reply. {again}")


def _tell_place(result: BuildResult, say: sayer) -> None:
    """Say where a build's result lies, and what to do with it."""
    if result.shard:
        say(
            f"Wrote {result.shard}. When all shards are built, `vlaa-thinking merge` makes a dataset of them."
        )
    elif result.out is None:
        say("No row was kept, so no dataset was written. `vlaa-thinking show ID` shows a row's whole way.")
    else:
        same = "" if result.changed else " (it held the very same bytes before)"
        say(f"Wrote {result.out}{same}. To load it:")
        say("")
        say("  from datasets import load_dataset")
        say(
            f'  rows = load_dataset({json.dumps(str(result.out), ensure_ascii=False)}, "{next(iter(result.funnel.splits))}")'
        )


_RATES = {
    "rewritten": "after the rewrite {} ({} to {})",
    "verified": "of those after verification {} ({} to {})",
    "in_all": "in all {} ({} to {})",
    "cued": "with a cue {} ({} to {})",
}


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def foretell(plan: Plan, console: Console) -> None:
    """Print what a build is expected to take."""
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("step", no_wrap=True)
    for name in ("calls", "answered", "tokens in", "out", "low", "expected", "high"):
        table.add_column(name, justify="right", no_wrap=True)
    beside = any(step.batch is not None for step in plan.steps)
    for name in ("live", "batch") if beside else ():
        table.add_column(name, justify="right", no_wrap=True)
    for step in plan.steps:
        tokens = (_short(step.input_tokens), _short(step.output_tokens))
        dollars = (_dollars(step.low), _dollars(step.expected), _dollars(step.high))
        ways = (_dollars(step.live), "-" if step.batch is None else _dollars(step.batch)) if beside else ()
        table.add_row(step.step, f"{step.calls:,.0f}", f"{step.cached:,}", *tokens, *dollars, *ways)
    calls, answered = sum(s.calls for s in plan.steps), sum(s.cached for s in plan.steps)
    dollars = (_dollars(plan.low), _dollars(plan.expected), _dollars(plan.high))
    ways = (_dollars(plan.live), _dollars(plan.batch)) if beside else ()
    table.add_row("in all", f"{calls:,.0f}", f"{answered:,}", "", "", *dollars, *ways)
    console.print(table)
    say = sayer(console)
    say("")
    if beside:
        batched = [step.step for step in plan.steps if step.by_batch]
        how = (
            f"{', '.join(batched)} in batches" if batched else 'all steps live (`mode = "batch"` is cheaper)'
        )
        say(f"Expected is with {how}, as generators/models.toml has it.")
    if plan.spent:
        say(
            f"${plan.spent:,.4f} was spent on the sample; its answers are kept and cost nothing in the build."
        )
    if plan.sampled:
        say(f"{plan.rows:,} rows; foretold from {plan.sampled:,} whose whole way is known.")
        if plan.within is not None:
            say(f"19 times out of 20, what is left costs within {plan.within:.0%} of what is expected.")
        if plan.within is not None and plan.within > NEAR:
            enough = min(plan.rows, math.ceil(plan.sampled * (plan.within / NEAR) ** 2))
            say(f"--sample {enough} would bring that to about {NEAR:.0%}; rows that were run already count.")
    else:
        say(f"{plan.rows:,} rows; foretold by rules of thumb: --sample 50 runs 50 rows and knows better.")
    for model in sorted({step.model for step in plan.steps if step.expected is None}):
        say(
            f'The price of the model "{model}" is not known: set input_price and output_price (US dollars per million '
            f"tokens) in [model.{model}] of generators/models.toml."
        )


def tell_difficulty(found: Difficulty, console: Console) -> None:
    """Print how hard a folder's rows are."""
    say = sayer(console)
    for config, rates in found.rates.items():
        say(
            f"{config}: {rates['mean']:.0%} of the draws are right over {rates['rows']:,} rows; "
            f"{rates['none_right']:,} with none right, {rates['all_right']:,} with all"
        )
    unscored = found.rows - found.failed - sum(int(rates["rows"]) for rates in found.rates.values())
    if unscored:
        say(f"{unscored:,} rows have no rate: nothing can score their draws.")
    if found.failed:
        say(
            f"{found.failed:,} rows failed: their model gave no reply. Run the same command again to try them."
        )
    say(f"{_dollars(found.spent)} spent. Wrote {found.file}.")


def _short(tokens: float) -> str:
    if tokens < 10_000:
        return f"{tokens:,.0f}"
    return f"{tokens / 1000:,.0f}k" if tokens < 10_000_000 else f"{tokens / 1_000_000:,.0f}M"


def _dollars(amount: float | None) -> str:
    return (
        "unknown" if amount is None else f"${amount:,.2f}" if amount >= 1 or not amount else f"${amount:.4f}"
    )


def tell(trace: Trace, console: Console) -> None:
    """Print one row's whole way."""
    record, say = trace.record, sayer(console)
    say(f"row       {record.id}")
    say(f"question  {record.question}")
    say(f"answer    {record.gold.answer} ({record.gold.answer_type})")
    if record.picture:
        picture = record.picture
        say(f"image     {picture.format}, {picture.width}x{picture.height}, sha256 {picture.sha256[:16]}...")
    for exchange in trace.exchanges:
        _tell_exchange(exchange, console)
    say("")
    say("--- how it ended ---")
    _tell_findings(record, say)
    outcome = record.outcome
    if outcome is not None:
        code = f" ({outcome.code})" if outcome.code else ""
        where = f" in {trace.split}" if trace.split else ""
        say(f"outcome       {outcome.status}{where}{code}: {outcome.reason}")
        if outcome.evidence:
            say("evidence:")
            say(outcome.evidence)


def _tell_findings(record: Record, say: sayer) -> None:
    """Print what the steps found out about a row."""
    if record.prediction is not None:
        say(f"answer read   {record.prediction} (found by {record.found_by})")
    if record.draw is not None:
        say(f"draw kept     {record.draw + 1}{_rate(record.teacher_pass_rate)}")
    if record.word_gap is not None:
        changed = "" if record.word_edits is None else f", {record.word_edits} taken out or put in"
        say(f"word gap      {record.word_gap:+d}{changed}")
    if record.score is not None:
        value = "not scored" if record.score.value is None else f"{record.score.value:g}"
        say(f"score         {value}, by {record.score.how}: {record.score.reason}")
    if record.second is not None:
        say(f"judge, too    {record.second.value:g}: {record.second.reason}")
    if record.policy_pass_rate is not None:
        say(f"policy        {record.policy_pass_rate:.0%} of its draws are right")
    if record.cues:
        say("cues          " + ", ".join(f'"{c.phrase}" at {c.start}' for c in record.cues))


def _rate(share: float | None) -> str:
    return "" if share is None else f" ({share:.0%} of the draws are right)"


def _tell_exchange(exchange: Exchange, console: Console) -> None:
    say = sayer(console)
    say("")
    key = f", key {exchange.key[:12]}" if exchange.key else ""
    say(f"--- {exchange.step}: {exchange.role} {exchange.model}{key} ---")
    params = ", ".join(f"{k}={v}" for k, v in exchange.request.params.items())
    say(f"[params] {params}")
    for message in exchange.request.messages:
        images = "".join(f" + image {i.sha256[:16]}..." for i in message.images)
        say(f"[{message.role}{images}]")
        say(message.text)
    completion = exchange.completion
    if completion is None:
        say("[no reply: as the project's files stand now, this was not asked yet; `build` asks it]")
        return
    usage = completion.usage
    say(f"[reply: {completion.state}, {usage.input_tokens} tokens in, {usage.output_tokens} out]")
    if completion.reasoning:
        say("[reasoning]")
        say(completion.reasoning)
        say("[text]")
    say(completion.text or completion.reply.detail)


class sayer:  # noqa: N801 - used as a function
    """Print text as it is: no markup, no highlighting, no wrapping, and nothing that a terminal would obey."""

    def __init__(self, console: Console) -> None:
        """Print on `console`."""
        self._console = console

    def __call__(self, text: str) -> None:
        """Print one text."""
        shown = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
        self._console.print(Text(shown), soft_wrap=True)


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a terminal takes for a command; a tab and the end of a line are text."""
