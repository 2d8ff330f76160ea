"""A dataset's row as what an answer is held against: one way for rewards, for `score` and for `audit`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from vlaa_thinking import plugin
from vlaa_thinking.checks import math
from vlaa_thinking.columns import HASH_DIGITS
from vlaa_thinking.errors import SetupError
from vlaa_thinking.project import Project
from vlaa_thinking.record import ANSWER_TYPES, Box, Gold, Score

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vlaa_thinking.checks import Check
    from vlaa_thinking.record import Frame
    from vlaa_thinking.settings import Verifier


def gold_of(row: Mapping[str, Any], *, frame: Frame = "unit", size: tuple[int, int] | None = None) -> Gold:
    """Rebuild the right answer from a row's columns: answer, answer_type, answers, choices, boxes.

    `frame` is the one in which predicted boxes are written, `size` the width and height in pixels that go with
    the frame `pixels`. Raises `SetupError` for a row that no check can read.
    """
    for column in ("answer", "answer_type"):
        if not isinstance(row.get(column), str):
            raise SetupError(
                f"{_name(row)} has no {column}: a row of this package's datasets has that column"
            )
    kind = row["answer_type"]
    if kind not in ANSWER_TYPES:
        raise SetupError(f'{_name(row)} has the answer_type "{kind}": it is one of {", ".join(ANSWER_TYPES)}')
    boxes = tuple(tuple(map(float, box)) for box in row.get("boxes") or ())
    if any(len(box) != 4 for box in boxes):
        raise SetupError(f"{_name(row)} has a box that is not four numbers")
    return Gold(
        answer_type=kind,
        answer=row["answer"],
        answers=tuple(row.get("answers") or ()),
        choices=tuple(row.get("choices") or ()),
        boxes=cast(tuple[Box, ...], boxes),
        frame=frame,
        size=size,
    )


def text_of(reply: object) -> str:
    """Return the text of a reply: a string, or the last turn of a conversation as TRL and `datasets` hold it."""
    if isinstance(reply, list) and reply and isinstance(reply[-1], dict):
        reply = reply[-1].get("content")
    if isinstance(reply, list):
        parts = [part.get("text") for part in reply if isinstance(part, dict)]
        reply = "".join(part for part in parts if isinstance(part, str))
    return reply if isinstance(reply, str) else ""


@dataclass(frozen=True, slots=True)
class Rules:
    """A project's checks with their tolerances: those that keep a row in a build."""

    verifiers: Mapping[str, Verifier]
    """By answer type."""
    checks: Mapping[str, Check]
    """By answer type."""
    hashes: Mapping[str, str]
    """SHA-256 of the verifier's file by answer type."""

    @classmethod
    def of(cls, project: Project | None = None) -> Rules:
        """Read a project's verifiers, by default the built-in project's; raises `SetupError` for a wrong one."""
        settings = (project or Project.default()).settings()
        return cls(
            verifiers=settings.verifiers,
            checks={kind: plugin.load(v.check, settings.root) for kind, v in settings.verifiers.items()},
            hashes={kind: settings.hashes[f"verifiers/{kind}.toml"] for kind in settings.verifiers},
        )

    def score(self, prediction: str, gold: Gold) -> Score:
        """Score an answer by its type's check; mathematics may take seconds, so not on an event loop."""
        verifier, check = self.verifiers[gold.answer_type], self.checks[gold.answer_type]
        try:
            score: object = check(prediction, replace(gold, tolerance=verifier.tolerance))
        except Exception as exc:  # a check of the user's own may raise anything
            message = f'the check "{verifier.check}" failed: {type(exc).__name__}: {exc}'
            raise SetupError(message) from exc
        if not isinstance(score, Score):
            raise SetupError(f'the check "{verifier.check}" gave a {type(score).__name__}, not a Score')
        return score

    async def ascore(self, prediction: str, gold: Gold) -> Score:
        """Score an answer without holding up the loop: what needs computer algebra goes to a thread."""
        if self.checks[gold.answer_type] is math.check:
            tolerance = self.verifiers[gold.answer_type].tolerance
            known = math.exact(prediction, replace(gold, tolerance=tolerance))
            return await asyncio.to_thread(self.score, prediction, gold) if known is None else known
        return self.score(prediction, gold)

    def is_right(self, score: Score, gold: Gold) -> bool | None:
        """Tell whether a score is right by the verifier's `pass`; None where that is for a judge to say."""
        verifier = self.verifiers[gold.answer_type]
        if score.value is None or (verifier.judge and 0 < score.value < verifier.pass_):
            return None
        return score.value >= verifier.pass_

    def decided(self, row: Mapping[str, Any]) -> bool:
        """Tell whether these rules kept the row, as far as its column `decided_by` says."""
        named = (row.get("decided_by") or {}).get("verifier")
        return named is None or named == self.hashes[row["answer_type"]][:HASH_DIGITS]


def _name(row: Mapping[str, Any]) -> str:
    """Name a row for a message."""
    return f"the row {row['id']}" if row.get("id") else "a row"
