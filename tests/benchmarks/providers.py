"""What providers allow and how long they take, as parameters of scale.py, each with its source.

Limits differ by account and change without notice: these are what the pages named here said in 2026. Where a figure is
an assumption, it says so. Prices are not here: they are those that `plan` uses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from vlaa_thinking import Project
from vlaa_thinking.forecast import USUAL
from vlaa_thinking.prices import price_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vlaa_thinking.prices import Price
    from vlaa_thinking.settings import Model

STEPS: tuple[str, ...] = ("caption", "distill", "rewrite", "verify")

HOUR, DAY = 3600.0, 86400.0

TURNAROUND = {"1 h": HOUR, "24 h": DAY}
"""Seconds that a batch may take: most end within an hour, says Anthropic (platform.claude.com, batch processing); within
24 hours, promises OpenAI (developers.openai.com, Batch API). Both are shown: nobody promises the hour."""

BATCH_PRICE = 0.5
"""What a call in a batch costs, as a share of a live one: both providers' batch pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """How a provider takes batches of one model's calls."""

    queued: int
    """Input tokens that may be waiting or under way at once."""
    requests: int = 50_000
    """Requests of a file, and its bytes: OpenAI's API reference, create batch."""
    size: int = 200_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One model at its provider."""

    name: str
    """As in generators/models.toml, where its price is found."""
    rpm: int | None = None
    tpm: int | None = None
    """Calls and tokens a minute."""
    concurrency: int | None = None
    """Calls in flight."""
    wait: float
    """Seconds before the first token."""
    speed: float
    """Tokens a second of one reply."""
    batches: Batches | None = None
    """None: it has no batch endpoint."""

    def seconds(self, output_tokens: float) -> float:
        """Say how long a call takes."""
        return self.wait + output_tokens / self.speed

    def model(self, load: Load) -> Model:
        """Return the project's model, told of these limits as a user would tell it.

        Where the provider sets none on calls in flight, as many are allowed as its other limits can use, and a half
        more.
        """
        most = self.concurrency
        if most is None:
            rate = min((rate for _, rate in self.limits(load)), default=1.0)
            most = max(1, round(1.5 * rate * self._busy(load)))
        return replace(models()[self.name], rpm=self.rpm, tpm=self.tpm, max_concurrency=most)

    def price(self) -> Price:
        """Return the price that `plan` uses."""
        price = price_of(models()[self.name])
        assert price is not None
        return price

    def limits(self, load: Load) -> list[tuple[str, float]]:
        """Name each limit, with the calls a second that it allows in the mixture of `load`."""
        tokens = _mean(load, lambda asked: asked.input + asked.output)
        rates = {
            "calls a minute": self.rpm and self.rpm / 60,
            "tokens a minute": self.tpm and self.tpm / 60 / tokens,
            "calls in flight": self.concurrency and self.concurrency / self._busy(load),
        }
        return [(what, rate) for what, rate in rates.items() if rate]

    def _busy(self, load: Load) -> float:
        return _mean(load, lambda asked: self.seconds(asked.output))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one step asks of its model for one row."""

    calls: float
    """On average; at most one."""
    input: float
    output: float
    """Tokens of one call, on average."""


Load = dict[str, Asked]
"""By step."""


def _mean(load: Load, of: Callable[[Asked], float]) -> float:
    """Take the mean over the calls."""
    return sum(asked.calls * of(asked) for asked in load.values()) / sum(a.calls for a in load.values())


@cache
def models() -> dict[str, Model]:
    """Read the models of the default project."""
    return Project.default().settings(profile="paper").models


LOAD: Load = {
    step: Asked(calls=calls, input=read, output=written)
    for step, (calls, read, written) in USUAL.items()
    if step in STEPS
}
"""The rules of thumb that `plan` begins with: 2.8 calls a row."""


def _openai(rpm: int, tpm: int, queued: int, mini: tuple[int, int, int]) -> dict[str, Endpoint]:
    """Cast OpenAI's models as the profile `paper` does, with DeepSeek's reasoner."""
    # Speeds: community.openai.com/t/1307310 (500 tokens in 15.9 and 8.7 s, waiting counted), so there is no wait here.
    eye = Endpoint(name="gpt-4o", rpm=rpm, tpm=tpm, wait=0, speed=31.7, batches=Batches(queued=queued))
    pen = Endpoint(
        name="gpt-4o-mini", rpm=mini[0], tpm=mini[1], wait=0, speed=59.0, batches=Batches(queued=mini[2])
    )
    # api-docs.deepseek.com/quick_start/rate_limit: 500 calls in flight (the smaller of its two models' limits; more are
    # given on request), and no other limit. It has no batch endpoint. Its speed is an assumption: 10 to 60 s a call are
    # told.
    mind = Endpoint(name="deepseek-r1", concurrency=500, wait=2, speed=30)
    return {"caption": eye, "distill": mind, "rewrite": pen, "verify": pen}


CASTS: Mapping[str, Mapping[str, Endpoint]] = {
    # The model pages of gpt-4o and gpt-4o-mini at developers.openai.com; the second table is quoted in full at
    # community.openai.com/t/1269349.
    "tier 1": _openai(500, 30_000, 90_000, (500, 200_000, 2_000_000)),
    "tier 4": _openai(10_000, 2_000_000, 200_000_000, (10_000, 10_000_000, 1_000_000_000)),
    "tier 5": _openai(10_000, 30_000_000, 5_000_000_000, (30_000, 150_000_000, 15_000_000_000)),
}
"""Who plays which step, by OpenAI's usage tier."""
