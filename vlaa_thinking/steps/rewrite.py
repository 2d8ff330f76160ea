"""Step 4: free the text from the caption's voice, and guard its length (paper, section 2).

What is rewritten is what is published: the reasoning, and the answer where it is free text.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from vlaa_thinking.steps import unfinished

if TYPE_CHECKING:
    from vlaa_thinking.record import Record
    from vlaa_thinking.steps import Context

TAGS = re.compile(r"</?(?:think|answer)>")
"""What separates the parts of a published completion, and so may stand in none of them."""


async def rewrite(record: Record, ctx: Context) -> Record:
    """Send the text to the rewriter if it gives the caption away; drop what comes back too different."""
    reasoning = record.teacher_reasoning or ""
    free = record.gold.answer_type == "open"
    answer = (record.prediction or "") if free else record.gold.answer
    before = f"{reasoning}\n{answer}" if free else reasoning
    tag = TAGS.search(before)
    if tag:
        reason = f"rewrite: the text holds {tag[0]}, which marks the parts of a completion"
        return record.drop(
            "rewrite", "tag_in_text", reason, before[max(0, tag.start() - 200) : tag.end() + 200]
        )
    rule = ctx.settings.rewrite
    if rule.send == "leaks" and leak_in(before, ctx.settings.leaks.phrases) is None:
        return replace(record, reasoning=reasoning, answer_text=answer, word_gap=0)
    # No <think> around it: what a reply begins with between those tags is the rewriter's own thinking.
    sent = f"{reasoning}\n\n<answer>{answer}</answer>" if free else reasoning
    record, reply = await ctx.ask("rewrite", record, {"text": sent})
    if reply.state != "ok":
        return unfinished(record, "rewrite", reply)
    return _taken(record, sent, reply.text, ctx)


def _taken(record: Record, before: str, after: str, ctx: Context) -> Record:
    """Take the rewritten text, unless its length, its tags or a leak speak against it."""
    free = record.gold.answer_type == "open"
    most = ctx.settings.rewrite.max_word_gap
    gap = len(after.split()) - len(before.split())
    record = replace(record, word_gap=gap)
    evidence = after[:500]
    if abs(gap) > most:
        reason = f"rewrite: the text changed by {gap:+d} words; more than {most} are not taken"
        return record.drop("rewrite", "word_gap", reason, evidence)
    parts = _parted(after) if free else (after.strip(), record.gold.answer)
    if parts is None or TAGS.search(parts[0]):
        return record.drop(
            "rewrite", "structure", "rewrite: the text lost the tags that part it, or gained some", evidence
        )
    leak = leak_in(after, ctx.settings.leaks.phrases)
    if leak is not None:
        reason = f'rewrite: the text still speaks of what was read, not seen: "{leak}"'
        return record.drop("rewrite", "leak", reason, evidence)
    return replace(record, reasoning=parts[0], answer_text=parts[1])


def leak_in(text: str, phrases: tuple[str, ...]) -> str | None:
    """Return the first phrase of `phrases` in `text`: whole words, any case, a star for any ending."""
    found = _pattern(phrases).search(text) if phrases else None
    return found[0] if found else None


@lru_cache(maxsize=8)
def _pattern(phrases: tuple[str, ...]) -> re.Pattern[str]:
    words = (re.escape(phrase).replace(r"\*", r"\w*").replace(r"\ ", r"\s+") for phrase in phrases)
    return re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE)


def _parted(text: str) -> tuple[str, str] | None:
    parts = re.fullmatch(r"(.*?)<answer>(.*?)</answer>\s*", text, re.DOTALL)
    if parts is None or TAGS.search(parts[2]):
        return None
    return parts[1].strip(), parts[2].strip()
