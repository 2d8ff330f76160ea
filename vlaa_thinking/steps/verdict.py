"""Is an answer right? By rule where a rule can tell, else by the judge: one way for every draw of every model.

Nothing that the judge is shown can steer it by its form. Each part stands between lines that hold a word which
occurs in no part, so that no text can close its own part or open another; and only a JSON object of one form, with
"yes" or "no" in it, counts as a verdict.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vlaa_thinking.checks import math
from vlaa_thinking.errors import SetupError
from vlaa_thinking.record import Score
from vlaa_thinking.steps import every, parse, unfinished
from vlaa_thinking.steps.question import question_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vlaa_thinking.llm import Json
    from vlaa_thinking.record import Record
    from vlaa_thinking.steps import Context

FORM: Mapping[str, Json] = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "verdict": {"type": "string", "enum": ["yes", "no"]}},
    "required": ["reason", "verdict"],
    "additionalProperties": False,
}
"""The form of a judge's reply."""


async def verdict(record: Record, said: str, ctx: Context, *, rules: bool) -> tuple[Record, Score]:
    """Score the answer `said`: first by rule, if `rules`; what that leaves open, by the judge.

    Where the judge is asked and gives no verdict, the record comes back dropped, and the answer is not scored.
    """
    score = Score(value=None, reason="no rule was asked")
    verifier = ctx.settings.verifiers[record.gold.answer_type]
    if rules:
        score = await by_rule(record, said, ctx)
        between = score.value is None or 0 < score.value < verifier.pass_
        if not (verifier.judge and between):
            return record, score
    return await by_judge(record, said, ctx)


async def by_rule(record: Record, said: str, ctx: Context) -> Score:
    """Run the check of the record's answer type; what math's fast paths leave open goes to a thread."""
    verifier = ctx.settings.verifiers[record.gold.answer_type]
    check = ctx.checks[record.gold.answer_type]
    gold = record.gold
    if gold.tolerance != verifier.tolerance:
        gold = replace(gold, tolerance=verifier.tolerance)
    try:
        score: Any = math.exact(said, gold) if check is math.check else check(said, gold)
        if score is None and check is math.check:
            score = await asyncio.to_thread(check, said, gold)
    except Exception as exc:
        what = f"{type(exc).__name__}: {exc}"
        raise SetupError(f'the check "{verifier.check}" failed on row {record.id}: {what}') from exc
    if not isinstance(score, Score):
        what = type(score).__name__
        raise SetupError(f'the check "{verifier.check}" gave a {what} on row {record.id}, not a Score')
    return score


async def by_judge(record: Record, said: str, ctx: Context) -> tuple[Record, Score]:
    """Ask the judge as often as it has votes; the majority decides, and a tie decides nothing."""
    question = question_text(record, ctx.settings.verifiers)
    gold = " | ".join(record.gold.answers) or record.gold.answer
    values = {"question": question, "gold": gold, "prediction": said, "mark": mark_for(question, gold, said)}
    votes = range(ctx.settings.verify.votes)
    asked = await every([ctx.ask("verify", record, values, schema=FORM, sample=vote) for vote in votes])
    record, replies = asked[0][0], [reply for _, reply in asked]
    open_ = Score(value=None, reason="The judge gave no verdict.", how="judge")
    given = [read for r in replies if r.state == "ok" and (read := parse(r.text, FORM)) is not None]
    if not given:
        failed = next((r for r in replies if r.state != "ok"), None)
        if failed is not None:
            return unfinished(record, "verify", failed), open_
        reason = "verify: the judge gave no verdict in the form asked for, twice"
        return record.drop("verify", "no_verdict", reason, replies[0].text[:500]), open_
    ayes = [one["reason"] for one in given if one["verdict"] == "yes"]
    noes = [one["reason"] for one in given if one["verdict"] == "no"]
    if len(ayes) == len(noes):
        reason = f"verify: of {len(given)} votes of the judge, half say yes and half say no"
        evidence = f"answer: {said}\nyes: {ayes[0]}\nno: {noes[0]}"
        return record.drop("verify", "no_verdict", reason, evidence[:500]), open_
    right = len(ayes) > len(noes)
    reasons = ayes if right else noes
    count = f"{len(reasons)} of {len(given)} votes: " if len(votes) > 1 else ""
    return record, Score(value=float(right), reason=f"{count}{reasons[0]}", how="judge")


def mark_for(*texts: str) -> str:
    """Make a word that stands in none of `texts`; it is always the same for the same ones."""
    mark = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:8]
    while any(mark in text.lower() for text in texts):
        mark = hashlib.sha256(mark.encode()).hexdigest()[:8]
    return mark
