"""Any model's answers held against a dataset folder, by the checks that kept its rows."""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from vlaa_thinking.checks.answer import Found, Missing, read_answer
from vlaa_thinking.errors import SetupError
from vlaa_thinking.llm.thinking import split_thinking
from vlaa_thinking.marking import Rules, gold_of, text_of
from vlaa_thinking.record import Score
from vlaa_thinking.rewards.scorers import likeness
from vlaa_thinking.scoring.files import Line, read_lines, read_rows
from vlaa_thinking.steps.distill import headless_thinking

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vlaa_thinking.project import Project
    from vlaa_thinking.record import AnswerType, Frame

_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)*")

THREADS = 4
"""Lines that are scored at once: mathematics waits for its worker processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredLine:
    """One line of predictions and what came of it."""

    id: str
    source: str
    answer_type: AnswerType
    answer: str | None
    """As it was read; None if none could be."""
    found_by: str | None
    """Where it stood: "tag", "boxed", "label" or "phrase"; "whole" for a prediction that is the answer alone."""
    score: Score
    right: bool | None
    """Whether the score reaches the verifier's `pass`; None: no rule can tell, in a build the judge would."""
    likeness: float | None = None
    """Of a free answer that no rule can tell: how like its words are to an accepted string."""


@dataclass(slots=True)
class Tally:
    """Counts over the lines of one answer type or one source."""

    lines: int = 0
    unreadable: int = 0
    """Lines without an answer that can be read; they count as wrong."""
    right: int = 0
    wrong: int = 0
    """The unreadable ones among them."""
    not_scored: int = 0
    """Lines that no rule can tell, or, of a type that has a judge, not for sure."""
    points: float = 0.0
    """Sum of the scores of the right and wrong lines, each from 0 to 1."""
    likenesses: list[float] = field(default_factory=list[float])
    """Of the free answers that no rule can tell: how like each is to an accepted string."""
    reasons: Counter[str] = field(default_factory=Counter[str])
    """Why lines were wrong or not scored, the numbers in each reason left out."""

    def add(self, line: ScoredLine) -> None:
        """Count one line."""
        self.lines += 1
        self.unreadable += line.answer is None
        self.right += line.right is True
        self.wrong += line.right is False
        self.not_scored += line.right is None
        if line.right is not None:
            self.points += line.score.value or 0.0
        if line.likeness is not None:
            self.likenesses.append(line.likeness)
        if not line.right:
            self.reasons[_NUMBER.sub("N", line.score.reason)] += 1

    @property
    def accuracy(self) -> tuple[float, float]:
        """The share of right lines: at least, and at most, if all that was not scored is right."""
        return self.right / self.lines, (self.right + self.not_scored) / self.lines

    @property
    def mean(self) -> float | None:
        """The mean score, which for boxes is their mean IoU; None if no line was scored."""
        scored = self.right + self.wrong
        return self.points / scored if scored else None

    @property
    def likeness(self) -> float | None:
        """The mean of `likenesses`; None if there are none."""
        return fmean(self.likenesses) if self.likenesses else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreReport:
    """What a file of predictions came to."""

    lines: tuple[ScoredLine, ...]
    """Of the lines whose id is a row's, in the file's order; an id may stand in several lines."""
    unmatched: tuple[str, ...]
    """Ids that no row has, in the file's order."""
    rows: int
    """Rows that could have been predicted: all but the rejected ones."""
    unanswered: int
    """Rows without a line."""
    other_rules: tuple[str, ...]
    """Answer types whose rows were kept by another verifier's file than the one that scored here."""

    @property
    def total(self) -> Tally:
        """All lines together."""
        tally = Tally()
        for line in self.lines:
            tally.add(line)
        return tally

    @property
    def by_type(self) -> dict[str, Tally]:
        """Counts by answer type."""
        return _tallies((line.answer_type, line) for line in self.lines)

    @property
    def by_source(self) -> dict[str, Tally]:
        """Counts by source."""
        return _tallies((line.source, line) for line in self.lines)


def score(
    predictions: Path | str,
    *,
    data: Path | str,
    project: Project | None = None,
    frame: Frame = "unit",
) -> ScoreReport:
    """Score a model's answers by rule, each by the check of its row's answer type.

    `predictions` is a JSON Lines file: each line has the `id` of a row and `completion` or `response` (the whole
    reply, out of which the answer is read) or `prediction` (the same, or the answer alone). `data` is a dataset
    folder of `build`; `project` says whose checks score, the built-in one's without; `frame` in what boxes are
    written. Raises `SetupError` for a file or folder that cannot be read, and where no id is a row's.
    """
    lines = read_lines(Path(predictions))
    rows = read_rows(Path(data), images=frame == "pixels")
    rules = Rules.of(project)
    if not any(line.id in rows for line in lines):
        raise SetupError(
            f'no id of {predictions} is a row of {data}: there they look like "{next(iter(rows))}", '
            f'here like "{lines[0].id}"'
        )
    return score_lines(lines, rows, rules, frame)


def score_lines(
    lines: Sequence[Line], rows: Mapping[str, Mapping[str, Any]], rules: Rules, frame: Frame = "unit"
) -> ScoreReport:
    """Score lines against rows by id; with boxes in pixels, a row's `size` is the image's as the model sees it."""
    matched = [line for line in lines if line.id in rows]
    with ThreadPoolExecutor(THREADS) as threads:
        scored = tuple(threads.map(lambda line: _score(line, rows[line.id], rules, frame), matched))
    used = [rows[line.id] for line in matched]
    return ScoreReport(
        lines=scored,
        unmatched=tuple(line.id for line in lines if line.id not in rows),
        rows=len(rows),
        unanswered=len(rows.keys() - {line.id for line in matched}),
        other_rules=tuple(sorted({row["answer_type"] for row in used if not rules.decided(row)})),
    )


def read_prediction(line: Line) -> Found | Missing | str:
    """Read the answer of a line by the one rule; a text that is the answer alone comes back as it is."""
    text = text_of(line.reply)
    reasoning, rest = split_thinking(text)
    if not reasoning:
        reasoning, rest = headless_thinking(text)
    found = read_answer(rest)
    alone = line.may_be_bare and not reasoning and rest.strip() and "answer>" not in rest.casefold()
    return rest.strip() if isinstance(found, Missing) and alone else found


def _score(line: Line, row: Mapping[str, Any], rules: Rules, frame: Frame) -> ScoredLine:
    gold = gold_of(row, frame=frame, size=row.get("size"))
    found = read_prediction(line)
    if isinstance(found, Missing):
        answer, found_by = None, None
        score = Score(value=0.0, reason=found.reason)
    else:
        answer, found_by = (found, "whole") if isinstance(found, str) else (found.text, found.how)
        score = rules.score(answer, gold)
    right = rules.is_right(score, gold)
    free = gold.answer_type == "open" and right is None
    return ScoredLine(
        id=line.id,
        source=row.get("source") or "",
        answer_type=gold.answer_type,
        answer=answer,
        found_by=found_by,
        score=score,
        right=right,
        likeness=likeness(answer, gold) if free and answer else None,
    )


def _tallies(pairs: Iterable[tuple[str, ScoredLine]]) -> dict[str, Tally]:
    """Count lines under their names, in the order of the names."""
    tallies: dict[str, Tally] = {}
    for name, line in pairs:
        tallies.setdefault(name, Tally()).add(line)
    return dict(sorted(tallies.items()))
