"""Step 5: is the answer right? By rule where a rule can tell, else by the judge (paper, section 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlaa_thinking.record import changed
from vlaa_thinking.steps.verdict import by_judge, verdict

if TYPE_CHECKING:
    from vlaa_thinking.record import Record
    from vlaa_thinking.steps import Context


async def verify(record: Record, ctx: Context) -> Record:
    """Score the answer as it is published, and drop the record if it is not right."""
    rule, verifier = ctx.settings.verify, ctx.settings.verifiers[record.gold.answer_type]
    said = (record.answer_text if record.gold.answer_type == "open" else record.prediction) or ""
    record, score = await verdict(record, said, ctx, rules=rule.rules)
    if record.outcome is not None:
        return record
    record = changed(record, score=score)
    if score.value is None:
        reason = f"verify: no rule can score the answer: {score.reason}"
        return record.drop("verify", "not_scored", reason, _evidence(record, said))
    if score.how == "rule" and record.is_within(rule.both):
        asked, second = await by_judge(record, said, ctx)
        record = changed(record, models=asked.models, second=None if second.value is None else second)
    if score.value < verifier.pass_:
        reason = f"verify, by {score.how}: {score.reason}"
        return record.drop("verify", "wrong_answer", reason, _evidence(record, said))
    return record


def _evidence(record: Record, said: str) -> str:
    return f"answer: {said}\nright answer: {' | '.join(record.gold.answers) or record.gold.answer}"
