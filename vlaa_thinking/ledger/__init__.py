"""What an answer cache holds, and why two of its calls differ. No model is called, and no key needed."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlaa_thinking.cache import Cache, key_of
from vlaa_thinking.counts import STEP_NAMES
from vlaa_thinking.errors import OutputError, SetupError
from vlaa_thinking.ledger.differ import Difference, differences
from vlaa_thinking.ledger.frame import Frame, frames
from vlaa_thinking.places import Places
from vlaa_thinking.players import recalled
from vlaa_thinking.project import Project
from vlaa_thinking.trace import note_of, show

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vlaa_thinking.cache import Stored
    from vlaa_thinking.llm import Completion


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLine:
    """The stored answers of one kind."""

    model: str
    """As its server knows it; its identity, where it has no such name."""
    api: str
    identity: str
    step: str
    """Which step asks this, as far as the prompts of a known project tell; else ""."""
    state: str
    """How the replies ended; "unreadable" for what this version cannot read."""
    answers: int
    bytes: int
    """As they are stored: compressed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """What an answer cache holds."""

    cache: Path
    bytes: int
    """Of the whole file."""
    lines: tuple[CacheLine, ...]
    images: int
    """Images that something is known of."""

    @property
    def answers(self) -> int:
        """Stored answers in all."""
        return sum(line.answers for line in self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why two calls are two."""

    a: str
    b: str
    """The keys, in hex."""
    differences: tuple[Difference, ...]
    """Empty where both calls are one."""


def cache_stats(*, out: Path | str = "vlaa-dataset", cache: Path | None = None) -> CacheStats:
    """Count what a cache holds: the one at `cache`, else that of the build of `out`.

    Steps are told by the prompts of the project that `out` was built from, where it can be read.
    """
    places = Places(out)
    path = find(places, cache)
    with closing(Cache(path)) as opened:
        known: list[Frame] = []
        with suppress(SetupError):
            note = note_of(places)
            settings = Project.open(note["project"]).settings(note["profile"], note["preset"])
            known = frames(settings, recalled(settings, None, opened))
        lines, images = sorted_out(opened.answers(), known), opened.count_images()
        files = [path, path.with_name(f"{path.name}-wal")]
        size = sum(file.stat().st_size for file in files if file.is_file())
    return CacheStats(cache=path, bytes=size, lines=lines, images=images)


def explain(a: str, b: str, *, out: Path | str = "vlaa-dataset", cache: Path | None = None) -> Explanation:
    """Say in which fields of the canonical form two calls differ.

    Each is the beginning of a stored answer's key, in hex as `show` prints it, or `ROW:STEP`: the first call that
    the project, as it stands now, makes in that step for a row of `out` (`ROW:STEP:2`: the second). Raises
    `SetupError` for what is not found.
    """
    one, other = (_asked(call, out, cache) for call in (a, b))
    found = differences(json.loads(one), json.loads(other))
    return Explanation(a=key_of(one).hex(), b=key_of(other).hex(), differences=tuple(found))


def find(places: Places, cache: Path | None) -> Path:
    """Find the cache file that is meant; it is never made here."""
    path = cache or places.answers
    if cache is None and not path.is_file():
        with suppress(OutputError):
            path = Path(note_of(places)["cache"])
    if not path.is_file():
        raise SetupError(f"there is no answer cache at {path}: name one with --out OUT or --cache PATH")
    return path


def sorted_out(answers: Iterable[Stored], known: Sequence[Frame]) -> tuple[CacheLine, ...]:
    """Count answers by model, step and state."""
    counts: Counter[tuple[str, str, str, str, str]] = Counter()
    sizes: Counter[tuple[str, str, str, str, str]] = Counter()
    for stored in answers:
        form = json.loads(stored.asked)
        model = str(form["params"].get("model") or form["identity"])
        step = next((frame.step for frame in known if frame.fits(form)), "")
        kind = (model, form["api"], form["identity"], step, _state(stored.completion))
        counts[kind] += 1
        sizes[kind] += stored.size
    return tuple(
        CacheLine(
            model=model,
            api=api,
            identity=identity,
            step=step,
            state=state,
            answers=counts[model, api, identity, step, state],
            bytes=sizes[model, api, identity, step, state],
        )
        for model, api, identity, step, state in sorted(counts)
    )


def _state(completion: Completion) -> str:
    try:
        return completion.state
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, ImportError):
        return "unreadable"


def _asked(call: str, out: Path | str, cache: Path | None) -> bytes:
    """Find a call's canonical form."""
    row, step, number = _row_and_step(call)
    if not step:
        return _stored(call, find(Places(out), cache))
    traces = show(row, out=out)
    if len({trace.record.id for trace in traces}) > 1:
        names = ", ".join(trace.record.id for trace in traces)
        raise SetupError(f'"{row}" names several rows: {names}; write one of them')
    calls = [exchange for exchange in traces[0].exchanges if exchange.step == step]
    if len(calls) < number:
        made = {0: "no call", 1: "one call"}.get(len(calls), f"{len(calls)} calls")
        raise SetupError(f"the row {traces[0].record.id} makes {made} in the step {step}; see `show {row}`")
    exchange = calls[number - 1]
    if not exchange.asked:
        raise SetupError(f"the model {exchange.model} has no identity, so its calls have no key")
    return exchange.asked


def _row_and_step(call: str) -> tuple[str, str, int]:
    """Read ROW:STEP or ROW:STEP:NUMBER; the step is "" where it is neither."""
    row, _, step = call.rpartition(":")
    number = 1
    if step.isdecimal() and int(step) > 0:
        number = int(step)
        row, _, step = row.rpartition(":")
    return (row, step, number) if row and step in STEP_NAMES else ("", "", 0)


def _stored(prefix: str, path: Path) -> bytes:
    digits = prefix.lower()
    if not 0 < len(digits) <= 64 or set(digits) - set("0123456789abcdef"):
        raise SetupError(
            f'"{prefix}" is neither the beginning of a key (hex, as `show` prints it) nor ROW:STEP with one of '
            "the steps caption, distill, rewrite, verify"
        )
    with closing(Cache(path)) as cache:
        found = cache.beginning_with(digits)
    if not found:
        raise SetupError(f"{path} holds no answer whose key begins with {prefix}")
    if len(found) > 1:
        raise SetupError(f"{len(found)} keys in {path} begin with {prefix}: give more of its digits")
    return found[0]
