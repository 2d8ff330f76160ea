"""Step 2: the image, and what its source knows of it, become a caption (paper, section 2)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vlaa_thinking.steps import unfinished

if TYPE_CHECKING:
    from vlaa_thinking.record import Record
    from vlaa_thinking.steps import Context

NO_NOTES = "(none)"
"""What stands in the prompt where the source has no notes."""


async def caption(record: Record, ctx: Context) -> Record:
    """Describe the image; no call where the source gives a caption, or the question as text alone."""
    given = record.source_caption or record.text_question
    if given is not None:
        return replace(record, caption=given)
    record, reply = await ctx.ask("caption", record, {"notes": record.notes or NO_NOTES})
    if reply.state != "ok":
        return unfinished(record, "caption", reply)
    return replace(record, caption=reply.text)
