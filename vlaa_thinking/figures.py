"""What a split's rows come to: how hard, how long, how doubtful they are; each number from the rows as written."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from vlaa_thinking.steps.wording import words

if TYPE_CHECKING:
    from vlaa_thinking.record import Record, Score

REPEATING = 0.3
"""A caption that says so large a share of its runs of words again counts as repeating itself."""


class Figures:
    """The figures of one split, gathered while its rows are written; memory does not grow with their number."""

    def __init__(self) -> None:
        """Begin with no rows."""
        self._lengths: Counter[int] = Counter()
        self._captions: Counter[int] = Counter()
        self._caption_faults: Counter[str] = Counter()
        self._cues: Counter[str] = Counter()
        self._with_cue = 0
        self._verdicts: Counter[str] = Counter()
        self._both: Counter[str] = Counter(agree=0, rule_alone=0, judge_alone=0)
        self._rates: dict[str, Counter[float]] = {"teacher": Counter(), "policy": Counter()}

    def add(self, record: Record, least: float) -> None:
        """Add a row; `least` is the score from which its answer counts as right."""
        if record.reasoning is not None:
            self._lengths[len(words(record.reasoning))] += 1
        if record.caption_signals is not None:
            signals = record.caption_signals
            self._captions[signals.words] += 1
            self._caption_faults["refusals"] += signals.refusal
            self._caption_faults["repeating"] += signals.repetition >= REPEATING
        phrases = {cue.phrase for cue in record.cues}
        self._cues.update(phrases)
        self._with_cue += bool(phrases)
        if record.score is not None and record.score.value is not None:
            self._verdicts[record.score.how] += 1
        if record.score is not None and record.second is not None:
            self._both[_agreement(record.score, record.second, least)] += 1
        for name, rate in (("teacher", record.teacher_pass_rate), ("policy", record.policy_pass_rate)):
            if rate is not None:
                self._rates[name][rate] += 1

    def told(self) -> dict[str, Any]:
        """Write the figures down for the manifest."""
        return {
            "reasoning_words": _spread(self._lengths),
            "cues": {"rows": self._with_cue, "by_phrase": dict(sorted(self._cues.items()))},
            "teacher_pass_rate": spread_of_rates(self._rates["teacher"]),
            "policy_pass_rate": spread_of_rates(self._rates["policy"]),
            "captions": {
                "words": _spread(self._captions),
                "refusals": self._caption_faults["refusals"],
                "repeating": self._caption_faults["repeating"],
            },
            "verdicts": dict(sorted(self._verdicts.items())),
            "both": dict(self._both),
        }


def _agreement(rule: Score, judge: Score, least: float) -> str:
    """Say who of two called an answer right."""
    by_rule, by_judge = (score.value is not None and score.value >= least for score in (rule, judge))
    if by_rule == by_judge:
        return "agree"
    return "rule_alone" if by_rule else "judge_alone"


def _spread(counts: Counter[int]) -> dict[str, float] | None:
    """Return the mean, three percentiles and the most of counted whole numbers."""
    rows = counts.total()
    if not rows:
        return None
    found = {"mean": round(sum(value * count for value, count in counts.items()) / rows, 1)}
    for share in (10, 50, 90):
        found[f"p{share}"] = _percentile(counts, rows * share / 100)
    return {**found, "most": max(counts)}


def _percentile(counts: Counter[int], rank: float) -> int:
    passed = 0
    for value in sorted(counts):
        passed += counts[value]
        if passed >= rank:
            return value
    return max(counts)


def spread_of_rates(rates: Counter[float]) -> dict[str, float] | None:
    """Return how many rows were measured, their mean pass rate, and how many teach GRPO nothing."""
    rows = rates.total()
    if not rows:
        return None
    mean = sum(rate * count for rate, count in rates.items()) / rows
    return {"rows": rows, "mean": round(mean, 4), "none_right": rates[0.0], "all_right": rates[1.0]}
