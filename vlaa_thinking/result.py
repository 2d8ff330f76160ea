"""What a build ends in: the funnel, and the result its caller gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlaa_thinking.counts import STEP_NAMES, Counts
from vlaa_thinking.errors import SetupError
from vlaa_thinking.spool import LIVE
from vlaa_thinking.toml import nearest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vlaa_thinking.keeping import Rate
    from vlaa_thinking.llm import State
    from vlaa_thinking.shards import Shard
    from vlaa_thinking.spool import Spool


AGAIN: tuple[State, ...] = ("truncated", "refused", "filtered", "empty")
"""How a finished reply may have ended that a user may want to ask for anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How one build is run; nothing here decides what is in the dataset, but for `preset`."""

    preset: str | None = None
    """The preset instead of the profile's."""
    replace: bool = False
    """Move an output folder away that `build` did not make, or that was changed since."""
    cache: Path | None = None
    """The answer cache, where it is not to lie in the work folder."""
    budget: float | None = None
    """US dollars that this build may spend; None: no cap."""
    again: tuple[str, ...] = ()
    """States (of `AGAIN`) whose stored replies are asked for anew, and replaced once the new one is finished."""
    shard: Shard | None = None
    """Build this part of the rows alone, into a folder of its own for `merge`, and no dataset."""
    work: str | None = None
    """Where a shard's answers, images and rows are carried: a folder on shared disks, or a URL of fsspec."""
    log: Path | None = None
    """A file that gets a line of JSON for each call and each row, without their texts."""
    watch: Callable[[Counts], None] | None = None
    """Called about ten times a second with the counts, for a display."""

    def __post_init__(self) -> None:
        """Refuse a state that there is not."""
        for state in self.again:
            if state not in AGAIN:
                raise SetupError(f'again: no reply "{state}" can be asked for anew{nearest(state, AGAIN)}')


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelStep:
    """What one step did to the rows that reached it."""

    step: str
    rows_in: int
    rows_out: int
    dropped: dict[str, int]
    """By code."""
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel:
    """Where the rows went: rows in = kept + dropped + failed."""

    steps: tuple[FunnelStep, ...]
    splits: dict[str, dict[str, int]]
    """Kept rows by config and part."""
    not_taken: int = 0
    """Rows that `--limit` or a source's `take` left where they were, as far as sources tell."""
    waiting: int = 0
    """Of one shard alone: rows that came through all steps, and wait for `merge` to decide where they go."""

    @property
    def rows(self) -> int:
        """Rows that came in."""
        return self.steps[0].rows_in

    @property
    def kept(self) -> int:
        """Rows in `sft` and `rl`."""
        return sum(sum(parts.values()) for parts in self.splits.values())

    @property
    def dropped(self) -> int:
        """Rows in `rejected`."""
        return sum(sum(step.dropped.values()) for step in self.steps)

    @property
    def failed(self) -> int:
        """Rows whose model gave no reply: the next build tries them again."""
        return sum(step.failed for step in self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """What `build` and `merge` return."""

    out: Path | None
    """The dataset folder; None if no row was kept, and for a shard."""
    changed: bool
    """False where the folder held the very same bytes before."""
    funnel: Funnel
    calls: int
    """Replies that models were asked for."""
    spared: int
    """Replies that came from the cache or from an identical call."""
    spent: float
    """US dollars that this run's calls cost, as far as their prices are known."""
    saved: float
    """US dollars that the spared calls would have cost."""
    unpriced: int
    """Calls made whose price is not known."""
    seconds: float
    rates: tuple[Rate, ...] = ()
    """What each stage kept, beside what the paper's own pipeline kept."""
    shard: Path | None = None
    """The folder of a shard, where one was built."""

    @property
    def kept(self) -> int:
        """Rows in `sft` and `rl`."""
        return self.funnel.kept

    @property
    def exit_code(self) -> int:
        """0: every row kept or dropped; 3: some failed, build again."""
        return 3 if self.funnel.failed else 0


def funnel(spool: Spool, not_taken: int) -> Funnel:
    """Count the spool's rows by outcome; once `curate` has decided, none waits."""
    ended: dict[str, dict[tuple[str, str], int]] = {name: {} for name in STEP_NAMES}
    splits: dict[str, dict[str, int]] = {}
    rows = waiting = 0
    for status, step, code, config, part, count in spool.count("status", "step", "code", "config", "part"):
        rows += count
        if status == "kept":
            parts = splits.setdefault(config, {})
            parts[part] = parts.get(part, 0) + count
        elif status == LIVE:
            waiting += count
        else:
            ended[step][status, code] = ended[step].get((status, code), 0) + count
    steps = []
    left = rows
    for name in STEP_NAMES:
        here = ended[name]
        dropped = {code: n for (status, code), n in sorted(here.items()) if status == "dropped"}
        out = left - sum(here.values())
        steps.append(
            FunnelStep(
                step=name,
                rows_in=left,
                rows_out=out,
                dropped=dropped,
                failed=sum(n for (status, _), n in here.items() if status == "failed"),
            )
        )
        left = out
    made = Funnel(
        steps=tuple(steps),
        splits={c: splits[c] for c in ("sft", "rl") if c in splits},
        not_taken=not_taken,
        waiting=waiting,
    )
    if made.rows != made.kept + made.dropped + made.failed + made.waiting:
        raise AssertionError(f"rows do not add up: {made}")
    return made
