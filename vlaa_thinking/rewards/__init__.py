"""The mixed reward of GRPO (paper, section 4): one reward a row, in [0, 1], chosen by its `answer_type`.

`mixed_reward` is what `trl grpo --reward_funcs vlaa_thinking.rewards.mixed_reward` takes as it is; with other
settings, `MixedReward(...)` gets a name in a module of your own.
"""

from __future__ import annotations

import asyncio
import logging
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING, Any, get_args

from vlaa_thinking.checks.answer import Found
from vlaa_thinking.errors import SetupError
from vlaa_thinking.marking import Rules, gold_of, text_of
from vlaa_thinking.record import Frame, Score
from vlaa_thinking.rewards.form import is_in_form, read_tagged
from vlaa_thinking.rewards.judge import Judge
from vlaa_thinking.rewards.model import RewardModel
from vlaa_thinking.rewards.opened import BETA, OpenReward
from vlaa_thinking.rewards.scorers import Ask, Lexical, Scorer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vlaa_thinking.checks.answer import Missing
    from vlaa_thinking.project import Project
    from vlaa_thinking.record import Gold

__all__ = ["Ask", "Judge", "Lexical", "MixedReward", "RewardModel", "Scorer", "mixed_reward"]

COLUMNS = ("id", "question", "answer", "answer_type", "answers", "choices", "boxes", "image", "decided_by")
"""What is read of a row, as far as it is there."""

_log = logging.getLogger(__name__)


class MixedReward:
    """A reward function for TRL's GRPO: how right each reply's answer is, by its row's own check.

    A reply without exactly one `<answer>` block behind its reasoning earns 0. So does an answer that no rule can read
    as right. Of `open` answers, what accepted strings decide is decided; a scorer says the rest. A gold answer that
    nobody can score gives None whatever is replied, which TRL leaves out; such rows are counted, and named once in
    the log.
    """

    def __init__(
        self,
        *,
        project: Project | None = None,
        frame: Frame = "unit",
        resized: Callable[[int, int], tuple[int, int]] | None = None,
        scorer: Scorer | None = None,
        beta: float = BETA,
        format_weight: float = 0.0,
    ) -> None:
        """Set up the reward; nothing is read or loaded before the first call.

        `project`: whose checks decide; the built-in one without. `frame`: in which the model writes boxes; for
        `pixels`, `resized` tells from an image's width and height those that the model sees (else its own).
        `scorer`: of `open` answers, `Lexical` without; `beta`: for one whose scale is not bounded.
        `format_weight`: the share of the reward that the form alone earns; the published recipe that has such a
        term takes 0.1, the paper none. Raises `SetupError` for a value out of range.
        """
        if frame not in get_args(Frame):
            raise SetupError(f'there is no frame "{frame}": it is one of {", ".join(get_args(Frame))}')
        if not 0 <= format_weight < 1:
            raise SetupError(f"format_weight is {format_weight}: it must be at least 0 and below 1")
        self.__name__ = "mixed_reward"  # TRL's name for its curves
        self._project = project
        self._frame: Frame = frame
        self._resized = resized or (lambda width, height: (width, height))
        self._open = OpenReward(scorer or Lexical(), beta)
        self._format_weight = format_weight
        self._warned = set[str]()
        self._faults: dict[Gold, str | None] = {}
        """By gold answer: why nobody can score it; None if it can be scored."""

    @cached_property
    def _rules(self) -> Rules:
        return Rules.of(self._project)

    async def __call__(
        self,
        completions: Sequence[object],
        *,
        log_metric: Callable[[str, float], None] | None = None,
        log_extra: Callable[[str, list[str]], None] | None = None,
        **columns: Any,  # noqa: ANN401 - the dataset's columns, as TRL hands them over
    ) -> list[float | None]:
        """Return a reward in [0, 1] for each completion, or None; `columns` hold as many values each.

        A completion is a text or a conversation of one turn. Raises `SetupError` for a row that is none of this
        package's datasets.
        """
        rows = _rows(columns, len(completions))
        golds = [self._gold(row) for row in rows]
        texts = [text_of(completion) for completion in completions]
        found = [read_tagged(text) for text in texts]
        scores = await self._scores(rows, golds, found)
        rewards = [self._weighed(score, text) for score, text in zip(scores, texts, strict=True)]
        for row, gold, score in zip(rows, golds, scores, strict=True):
            self._warn_of(row, gold, score)
        if log_metric:
            for name, value in _curves(golds, found, scores).items():
                log_metric(f"{self.__name__}/{name}", value)
        if log_extra:
            log_extra("answer_read", [one.text if isinstance(one, Found) else "" for one in found])
            log_extra("verdict", [score.reason for score in scores])
        return rewards

    async def _scores(
        self, rows: Sequence[Mapping[str, Any]], golds: Sequence[Gold], found: Sequence[Found | Missing]
    ) -> list[Score]:
        """Score each answer: by rule, and what that leaves open of free text by the scorer, all at once."""
        for gold in golds:
            if gold not in self._faults:
                self._faults[gold] = await self._fault(gold)
        marked = zip(found, golds, strict=True)
        scores = list(await asyncio.gather(*(self._by_rule(*pair) for pair in marked)))
        asks = {
            place: Ask(
                row=row.get("id") or row.get("question") or "",
                question=row.get("question") or "",
                answer=answer.text,
                gold=gold,
                image=row.get("image"),
            )
            for place, (row, gold, answer, score) in enumerate(zip(rows, golds, found, scores, strict=True))
            if gold.answer_type == "open"
            and isinstance(answer, Found)
            and score.value not in (0.0, 1.0)
            and self._faults[gold] is None
        }
        for place, score in zip(asks, await self._open(list(asks.values())), strict=True):
            scores[place] = score
        return scores

    async def _by_rule(self, found: Found | Missing, gold: Gold) -> Score:
        """Score by the check; of a closed type, what it cannot read as right is not right."""
        if fault := self._faults[gold]:
            return Score(value=None, reason=fault)
        if not isinstance(found, Found):
            return Score(value=0.0, reason=found.reason)
        score = await self._rules.ascore(found.text, gold)
        if score.value is not None or gold.answer_type == "open":
            return score
        return Score(value=0.0, reason=score.reason)

    async def _fault(self, gold: Gold) -> str | None:
        """Say why nobody can score an answer to this gold one: its own check cannot, or free text that is empty."""
        if gold.answer_type == "open":
            accepted = "".join(gold.answers or (gold.answer,))
            return None if accepted.strip() else "The gold answer is empty."
        itself = await self._rules.ascore(gold.answer, gold)
        return itself.reason if itself.value is None else None

    def _gold(self, row: Mapping[str, Any]) -> Gold:
        image = row.get("image")
        size = self._resized(*image.size) if self._frame == "pixels" and image is not None else None
        return gold_of(row, frame=self._frame, size=size)

    def _weighed(self, score: Score, text: str) -> float | None:
        if score.value is None or not self._format_weight:
            return score.value
        return (1 - self._format_weight) * score.value + self._format_weight * is_in_form(text)

    def _warn_of(self, row: Mapping[str, Any], gold: Gold, score: Score) -> None:
        """Say once what a curve cannot."""
        name = row.get("id") or gold.answer
        if score.value is None and name not in self._warned:
            self._warned.add(name)
            _log.warning("%s: no reward for the row %s: %s", self.__name__, name, score.reason)
        file = f"verifiers/{gold.answer_type}.toml"
        if file not in self._warned and not self._rules.decided(row):
            self._warned.add(file)
            _log.warning(
                "%s: rows were kept by another %s than the one that rewards here; for their own rules, "
                "name their project in MixedReward(project=...)",
                self.__name__,
                file,
            )


def _rows(columns: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """Turn columns into rows."""
    here = {name: list(columns[name]) for name in COLUMNS if name in columns}
    for name in ("answer", "answer_type"):
        if name not in here:
            raise SetupError(f"the mixed reward needs the column {name}, which datasets of `build` have")
    for name, values in here.items():
        if len(values) != count:
            raise SetupError(f"the column {name} has {len(values)} values for {count} completions")
    return [{name: values[place] for name, values in here.items()} for place in range(count)]


def _curves(
    golds: Sequence[Gold], found: Sequence[Found | Missing], scores: Sequence[Score]
) -> dict[str, float]:
    """Return a batch's figures by name: the mean score of each answer type, and what was read and scored."""
    by_type: dict[str, list[float]] = {}
    for gold, score in zip(golds, scores, strict=True):
        if score.value is not None:
            by_type.setdefault(gold.answer_type, []).append(score.value)
    curves = {kind: fmean(values) for kind, values in by_type.items()}
    curves["readable"] = fmean(isinstance(one, Found) for one in found)
    curves["unscored"] = sum(score.value is None for score in scores)
    return curves


mixed_reward = MixedReward()
"""The paper's reward: the built-in checks, boxes as shares of the image's sides, words where no rule decides."""
