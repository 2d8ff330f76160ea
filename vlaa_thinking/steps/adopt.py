"""Steps 3 and 4 for rows that bring their own reasoning: it is taken as it stands, and no model is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlaa_thinking.record import changed
from vlaa_thinking.steps.rewrite import TAGS

if TYPE_CHECKING:
    from vlaa_thinking.record import Record
    from vlaa_thinking.steps import Context


async def adopt(record: Record, _: Context) -> Record:
    """Take the source's own reasoning and answer into the places of the reasoner's and the rewriter's."""
    reasoning, response = record.source_reasoning, record.source_response
    if not reasoning or not response:
        reason = "distill: the source gives no reasoning of its own, and its rows are to be adopted"
        return record.drop("distill", "no_reasoning", reason)
    tag = TAGS.search(f"{reasoning}\n{response}")
    if tag:
        reason = f"distill: the source's text holds {tag[0]}, which marks the parts of a completion"
        evidence = f"{reasoning}\n{response}"[max(0, tag.start() - 200) : tag.end() + 200]
        return record.drop("distill", "tag_in_text", reason, evidence)
    free = record.gold.answer_type == "open"
    return changed(
        record,
        teacher_reasoning=reasoning,
        teacher_response=response,
        prediction=response,
        found_by="source",
        reasoning=reasoning,
        answer_text=response if free else record.gold.answer,
    )


async def passed(record: Record, _: Context) -> Record:
    """Let a row go by a step that it does not take."""
    return record
