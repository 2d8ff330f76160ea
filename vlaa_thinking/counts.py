"""What a build has done so far: the display reads it while it changes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

STEP_NAMES = ("collect", "caption", "distill", "rewrite", "verify", "curate")
"""The six steps, in order."""


GATHERING = "gathering"
"""The state of requests that wait until there are enough for a batch."""


@dataclass(slots=True)
class StepCount:
    """How many rows one step has seen."""

    under_way: int = 0
    done: int = 0
    """Rows that went on to the next step."""
    dropped: int = 0
    failed: int = 0


@dataclass(slots=True)
class CallCount:
    """How many replies one role's requests took."""

    made: int = 0
    """Replies that a model was asked for."""
    spared: int = 0
    """Replies that came from the cache, or from an identical call under way."""
    input_tokens: int = 0
    output_tokens: int = 0
    """Tokens of the replies made, as far as the provider counted them."""
    spent: float = 0.0
    """US dollars that attempts cost, as far as prices are known."""
    saved: float = 0.0
    """US dollars that the spared replies would have cost."""
    unpriced: int = 0
    """Replies made whose price is not known."""
    answers: int = 0
    """Different answers that the rows rest on, whenever they were made."""
    answers_input_tokens: int = 0
    answers_output_tokens: int = 0
    answers_uncounted: int = 0
    """Those of them whose tokens the provider did not count."""


@dataclass(slots=True)
class BatchCount:
    """How far one batch is, or the requests that are gathered for the next one."""

    model: str
    roles: str
    state: str
    since: float
    """Since when it is there, in seconds since the epoch."""
    requests: int
    done: int = 0
    failed: int = 0


@dataclass(slots=True)
class Counts:
    """The counts of one build."""

    steps: dict[str, StepCount] = field(default_factory=lambda: {name: StepCount() for name in STEP_NAMES})
    calls: dict[str, CallCount] = field(default_factory=dict[str, CallCount])
    """By role."""
    retries: int = 0
    """Attempts that ended without a reply and were made again."""
    asking: int = 0
    """Live calls under way, those that wait to be tried again among them."""
    reading: bool = False
    """Whether rows are being read that may begin at once."""
    batches: dict[str, BatchCount] = field(default_factory=dict[str, BatchCount])
    """Batches under way, by their id in this build's journal; what is gathered, by its model's name."""
    expected: int | None = None
    """Rows that will come, once that is known or can be estimated."""
    rested_on: set[bytes] = field(default_factory=set[bytes])
    """Keys of the answers that rows rest on: each is counted once."""
    comparing: bool = False
    """Whether images that look alike are being compared, when all rows have ended."""
    compared: int = 0
    """Pairs of them."""
    stopping: bool = False
    """Whether the build is to end early: calls under way are waited for, nothing new is begun."""
    started: float = field(default_factory=time.monotonic)

    def note_compared(self, pairs: int) -> None:
        """Count pairs of images that were compared."""
        self.compared += pairs

    def role(self, name: str) -> CallCount:
        """Return the count of one role."""
        return self.calls.get(name) or self.calls.setdefault(name, CallCount())

    @property
    def moves(self) -> tuple[int, ...]:
        """A value that changes whenever a row goes on."""
        steps = ((s.under_way, s.done, s.dropped, s.failed) for s in self.steps.values())
        return (self.made, self.spared, *(n for step in steps for n in step))

    @property
    def made(self) -> int:
        """Calls made in all."""
        return sum(c.made for c in self.calls.values())

    @property
    def spared(self) -> int:
        """Calls spared in all."""
        return sum(c.spared for c in self.calls.values())

    @property
    def spent(self) -> float:
        """US dollars spent in all."""
        return sum(c.spent for c in self.calls.values())

    @property
    def saved(self) -> float:
        """US dollars saved in all."""
        return sum(c.saved for c in self.calls.values())

    @property
    def unpriced(self) -> int:
        """Replies made whose price is not known."""
        return sum(c.unpriced for c in self.calls.values())

    @property
    def seconds(self) -> float:
        """Since the build began."""
        return time.monotonic() - self.started

    @property
    def rows_in(self) -> int:
        """Rows that `collect` took."""
        collect = self.steps["collect"]
        return collect.done + collect.dropped

    @property
    def rows_ended(self) -> int:
        """Rows whose way through the models is over."""
        verified = self.steps["verify"].done
        return verified + sum(s.dropped + s.failed for name, s in self.steps.items() if name != "curate")
