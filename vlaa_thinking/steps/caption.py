"""Step 2: the image, and what its source knows of it, become a caption (paper, section 2)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from vlaa_thinking.record import CaptionSignals, changed
from vlaa_thinking.steps import picture_of, unfinished

if TYPE_CHECKING:
    from vlaa_thinking.record import Record
    from vlaa_thinking.steps import Context

NO_NOTES = "(none)"
"""What stands in the prompt where the source has no notes."""


async def caption(record: Record, ctx: Context) -> Record:
    """Describe the image; no call where the source gives a caption, or the question as text alone."""
    rule = ctx.settings.caption
    given = record.source_caption or record.text_question
    if given is not None:
        return changed(record, caption=given, caption_signals=signals(given, rule.refusals))
    values = {"notes": record.notes or NO_NOTES}
    record, reply = await ctx.ask("caption", record, values, picture=picture_of(record))
    if reply.state != "ok":
        return unfinished(record, "caption", reply)
    found = signals(reply.text, rule.refusals)
    record = changed(record, caption=reply.text, caption_signals=found)
    if found.refusal and rule.drop_refusals:
        return record.drop("caption", "refused", "caption: the model refused in words", reply.text[:500])
    return record


def signals(text: str, refusals: tuple[str, ...]) -> CaptionSignals:
    """Look at a caption's words: how many, whether they begin as one of `refusals`, how much is said again."""
    words = text.lower().split()
    runs = list(zip(words, words[1:], words[2:], words[3:], words[4:], strict=False))
    again = 1 - len(set(runs)) / len(runs) if runs else 0.0
    refusal = bool(refusals) and _beginning(refusals).match(text) is not None
    return CaptionSignals(words=len(words), refusal=refusal, repetition=round(again, 3))


@lru_cache(maxsize=8)
def _beginning(phrases: tuple[str, ...]) -> re.Pattern[str]:
    """Match a text that begins with one of `phrases`; quotes and apostrophes of any kind, and marks before it."""
    words = (re.escape(phrase).replace("'", "['\u2019]").replace(r"\ ", r"\s+") for phrase in phrases)
    return re.compile(rf"[\W_]*(?:{'|'.join(words)})(?!\w)", re.IGNORECASE)
