"""Decontamination: rows of a build that stand in an evaluation set, by their image or by a long question.

An image is evidence: the same bytes, or a near-duplicate (`vlaa_thinking.likeness`). A question is evidence where it
shares a run of `GRAM` words with one of the set's, and that run is no part of a template of the source itself. A short
or templated question alone is none.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

GRAM = 13
"""Words in the runs that are looked for."""

COMMON = 3
"""A run that stands in questions on so many different images of one source is a template there."""


@dataclass(slots=True)
class Benchmark:
    """What is kept of one evaluation set."""

    name: str
    """As the project names it; of a path on this machine the last part alone."""
    rows: int = 0
    images: dict[str, str] = field(default_factory=dict[str, str])
    """By its hash, the first row that shows an image."""
    fingerprints: dict[str, str] = field(default_factory=dict[str, str])
    """By its hash, each image's."""
    grams: dict[int, str] = field(default_factory=dict[int, str])
    """By its hash, the first row whose question holds a run of words."""


class Run(NamedTuple):
    """A run of words of a question."""

    place: int
    """Words before it."""
    gram: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What a row of the build shares with an evaluation set."""

    benchmark: str
    by: str
    """"image" or "question"."""
    evidence: str


def matches(
    rows: Iterable[tuple[str, str, str, str, bool]],
    benchmarks: Sequence[Benchmark],
    near: Mapping[str, Iterable[str]],
    groups: Mapping[str, str],
) -> dict[str, list[Match]]:
    """Find by key the rows that came through and stand in an evaluation set, each with one match a set.

    `rows` are `Spool.questions`: those that did not come through still show what is a template. `near` names for an
    image its near-duplicates in the sets, `groups` the group of an image that has twins in the build.
    """
    found: dict[str, list[Match]] = {}
    shared: dict[str, tuple[str, list[Run]]] = {}
    on: dict[tuple[str, int], set[str]] = {}
    for key, source, image, question, live in rows:
        if live and (mine := list(_by_image(image, near.get(image, ()), benchmarks))):
            found[key] = mine
        runs = [
            Run(place, gram, words)
            for place, (gram, words) in enumerate(grams(question))
            if any(gram in b.grams for b in benchmarks)
        ]
        for _, gram, _ in runs:
            images = on.setdefault((source, gram), set())
            if len(images) < COMMON:
                images.add(groups.get(image, image))
        if runs and live:
            shared[key] = source, runs
    for key, (source, runs) in shared.items():
        common = [run.place for run in runs if len(on[source, run.gram]) >= COMMON]
        # What reaches into a template is one of its own words and what was filled in.
        own = [run for run in runs if all(abs(run.place - place) >= GRAM for place in common)]
        known = {match.benchmark for match in found.get(key, ())}
        for benchmark in benchmarks:
            first = next((run for run in own if run.gram in benchmark.grams), None)
            if first and benchmark.name not in known:
                row = benchmark.grams[first.gram]
                evidence = f'the question of {benchmark.name}, row {row}: "{first.words}"'
                match = Match(benchmark=benchmark.name, by="question", evidence=evidence)
                found.setdefault(key, []).append(match)
    return found


def _by_image(image: str, near: Iterable[str], benchmarks: Sequence[Benchmark]) -> Iterator[Match]:
    for benchmark in benchmarks:
        if image in benchmark.images:
            how, row = "the image", benchmark.images[image]
        else:
            theirs = sorted(benchmark.images[other] for other in near if other in benchmark.images)
            if not theirs:
                continue
            how, row = "a near-duplicate of the image", theirs[0]
        yield Match(benchmark=benchmark.name, by="image", evidence=f"{how} of {benchmark.name}, row {row}")


def grams(question: str) -> Iterator[tuple[int, str]]:
    """Give the runs of `GRAM` words of a question, each with its hash; case, width and punctuation do not count."""
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", question).casefold())
    for start in range(len(words) - GRAM + 1):
        run = " ".join(words[start : start + GRAM])
        yield int.from_bytes(hashlib.blake2b(run.encode(), digest_size=8).digest()), run


def told(benchmarks: Sequence[Benchmark], found: Mapping[str, Sequence[Match]]) -> dict[str, dict[str, int]]:
    """Count for each evaluation set its rows and images, and the rows of the build that were dropped for it."""
    every = [(match.benchmark, match.by) for mine in found.values() for match in mine]
    return {
        b.name: {
            "rows": b.rows,
            "images": len(b.images),
            "by_image": every.count((b.name, "image")),
            "by_question": every.count((b.name, "question")),
        }
        for b in benchmarks
    }
