"""What each stage kept of the rows that came in, beside what the paper's own pipeline kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vlaa_thinking.settings import Paper, PaperSource
    from vlaa_thinking.spool import Spool

STAGES = ("rewritten", "verified", "in_all", "cued")
"""The shares that are told, each in [0, 1] or unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Shares of the rows of one source; None: not known, or of no row."""

    rewritten: float | None
    """Of the rows that came in, those that left step 4."""
    verified: float | None
    """Of those, the rows that left step 5."""
    in_all: float | None
    """Of the rows that came in, those that left step 5."""
    cued: float | None
    """Of those that left step 5, the rows that hold a cue of self-reflection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One share of a build, beside the range of the paper's sources."""

    stage: str
    """One of `STAGES`."""
    here: float | None
    paper: tuple[float, float]
    """The least and the most, in [0, 1]."""


@dataclass(slots=True)
class _Count:
    rows: int = 0
    rewritten: int = 0
    verified: int = 0
    cued: int = 0

    def kept(self) -> Kept:
        return Kept(
            rewritten=_share(self.rewritten, self.rows),
            verified=_share(self.verified, self.rewritten),
            in_all=_share(self.verified, self.rows),
            cued=_share(self.cued, self.verified),
        )


def kept_by_source(spool: Spool) -> tuple[Kept, dict[str, Kept]]:
    """Count what each stage kept, over all rows and by source; rows that failed are left out."""
    counts: dict[str, _Count] = {}
    whole = _Count()
    for source, status, step, cued, rows in spool.count("source", "status", "step", "cues <> '[]'"):
        if status == "failed":
            continue
        for count in (whole, counts.setdefault(source, _Count())):
            count.rows += rows
            if status == "dropped" and step in {"collect", "caption", "distill", "rewrite"}:
                continue
            count.rewritten += rows
            if status == "dropped" and step == "verify":
                continue
            count.verified += rows
            count.cued += rows * cued
    return whole.kept(), {source: count.kept() for source, count in counts.items()}


def kept_in_paper(source: PaperSource) -> Kept:
    """Return the paper's shares of one source.

    That with a cue is what is missing from its SFT rows: the paper sends every row with a cue away from there.
    """
    earlier = source.earlier
    cued = None
    if source.verified and source.sft is not None:
        cued = _share(source.verified - source.sft, source.verified)
    return Kept(
        rewritten=_share(earlier.rewritten, earlier.original) if earlier else None,
        verified=_share(earlier.verified, earlier.rewritten) if earlier else None,
        in_all=_share(source.verified, source.original) if source.verified and source.original else None,
        cued=cued,
    )


def beside_paper(here: Kept, paper: Paper) -> tuple[Rate, ...]:
    """Hold a build's shares beside the range of the paper's sources."""
    theirs = [kept_in_paper(source) for source in paper.source.values()]
    rates = []
    for stage in STAGES:
        known = _known(getattr(kept, stage) for kept in theirs)
        if known:
            rates.append(Rate(stage=stage, here=getattr(here, stage), paper=(min(known), max(known))))
    return tuple(rates)


def _known(shares: Iterable[float | None]) -> list[float]:
    return [share for share in shares if share is not None]


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
