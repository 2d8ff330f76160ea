"""Step 5: is the answer right? By rule where a rule can tell, else by the judge (paper, section 2)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vlaa_thinking.checks import math
from vlaa_thinking.errors import SetupError
from vlaa_thinking.record import Score
from vlaa_thinking.steps import parse, unfinished
from vlaa_thinking.steps.distill import question_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vlaa_thinking.llm import Json
    from vlaa_thinking.record import Record
    from vlaa_thinking.steps import Context

VERDICT: Mapping[str, Json] = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "verdict": {"type": "string", "enum": ["yes", "no"]}},
    "required": ["reason", "verdict"],
    "additionalProperties": False,
}
"""The form of a judge's reply."""


async def verify(record: Record, ctx: Context) -> Record:
    """Score the answer, and drop the record if it is not right."""
    verifier = ctx.settings.verifiers[record.gold.answer_type]
    score = Score(value=None, reason="no rule was asked")
    if ctx.settings.verify.rules:
        score = await _by_rule(record, ctx)
        if score.value is None and not verifier.judge:
            record = replace(record, score=score)
            return record.drop(
                "verify",
                "not_scored",
                f"verify: no rule can score the answer: {score.reason}",
                _evidence(record),
            )
    if score.value is None or (verifier.judge and 0 < score.value < verifier.pass_):
        record, verdict = await _by_judge(record, ctx)
        if verdict is None:
            return record
        score = verdict
    record = replace(record, score=score)
    if score.value is None or score.value < verifier.pass_:
        return record.drop(
            "verify", "wrong_answer", f"verify, by {score.how}: {score.reason}", _evidence(record)
        )
    return record


async def _by_rule(record: Record, ctx: Context) -> Score:
    """Run the check of the record's answer type; what math's fast paths leave open goes to a thread."""
    verifier = ctx.settings.verifiers[record.gold.answer_type]
    check = ctx.checks[record.gold.answer_type]
    gold = replace(record.gold, tolerance=verifier.tolerance)
    prediction = record.prediction or ""
    try:
        score: Any = math.exact(prediction, gold) if check is math.check else check(prediction, gold)
        if score is None and check is math.check:
            score = await asyncio.to_thread(check, prediction, gold)
    except Exception as exc:
        what = f"{type(exc).__name__}: {exc}"
        raise SetupError(f'the check "{verifier.check}" failed on row {record.id}: {what}') from exc
    if not isinstance(score, Score):
        what = type(score).__name__
        raise SetupError(f'the check "{verifier.check}" gave a {what} on row {record.id}, not a Score')
    return score


async def _by_judge(record: Record, ctx: Context) -> tuple[Record, Score | None]:
    """Ask the judge; the record comes back dropped, and no score, where it gives no verdict."""
    gold = record.gold
    reference = " | ".join(gold.answers) or gold.answer
    said = record.answer_text if gold.answer_type == "open" else record.prediction
    values = {
        "question": question_text(record, ctx.settings.verifiers),
        "gold": reference,
        "prediction": said or "",
    }
    record, reply = await ctx.ask("verify", record, values, schema=VERDICT)
    if reply.state != "ok":
        return unfinished(record, "verify", reply), None
    verdict = parse(reply.text, VERDICT)
    if verdict is None:
        reason = "verify: the judge gave no verdict in the form asked for, twice"
        return record.drop("verify", "no_verdict", reason, reply.text[:500]), None
    right = verdict["verdict"] == "yes"
    return record, Score(value=1.0 if right else 0.0, reason=verdict["reason"], how="judge")


def _evidence(record: Record) -> str:
    return (
        f"answer: {record.prediction}\nright answer: {' | '.join(record.gold.answers) or record.gold.answer}"
    )
