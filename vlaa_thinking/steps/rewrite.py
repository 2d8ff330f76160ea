"""Step 4: free the text from the caption's voice, and guard what it says (paper, section 2).

What is rewritten is what is published: the reasoning, and the answer where it is free text.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlaa_thinking.record import changed
from vlaa_thinking.sources.text import repaired
from vlaa_thinking.steps import unfinished
from vlaa_thinking.steps.leak import leak_in
from vlaa_thinking.steps.wording import edits, numbers, words

if TYPE_CHECKING:
    from vlaa_thinking.record import Record
    from vlaa_thinking.settings import RewriteHead
    from vlaa_thinking.steps import Context

TAGS = re.compile(r"</?(?:think|answer)>", re.IGNORECASE)
"""What separates the parts of a published completion, and so may stand in none of them."""

AT_ONCE = 10_000
"""Characters of a text up to which its edits are counted on the event loop: a fraction of a millisecond."""


async def rewrite(record: Record, ctx: Context) -> Record:
    """Send the text to the rewriter if it gives the caption away; drop what comes back too different."""
    rule, leaks = ctx.settings.rewrite, ctx.settings.leaks
    free = record.gold.answer_type == "open"
    reasoning = repaired(record.teacher_reasoning or "").strip()
    answer = (record.prediction or "") if free else record.gold.answer
    whole = f"{reasoning}\n{answer}" if free else reasoning
    tag = TAGS.search(whole)
    if tag:
        reason = f"rewrite: the text holds {tag[0]}, which marks the parts of a completion"
        evidence = whole[max(0, tag.start() - 200) : tag.end() + 200]
        return record.drop("rewrite", "tag_in_text", reason, evidence)
    if rule.send == "leaks" and leak_in(whole, leaks) is None:
        return changed(record, reasoning=reasoning, answer_text=answer, word_gap=0, word_edits=0)
    sent = _Text(reasoning=reasoning, answer=answer if _goes_along(record, ctx, answer) else None)
    record, reply = await ctx.ask("rewrite", record, {"text": sent.whole})
    if reply.state != "ok":
        return unfinished(record, "rewrite", reply)
    text = repaired(reply.text).strip()
    record = changed(record, word_gap=len(words(text)) - len(words(sent.whole)))
    if rule.guard == "strict":
        quick = len(text) <= AT_ONCE
        count = (
            _edits(sent.whole, text, rule)
            if quick
            else await asyncio.to_thread(_edits, sent.whole, text, rule)
        )
        record = changed(record, word_edits=count)
    return _taken(record, sent, text, ctx)


@dataclass(frozen=True, slots=True)
class _Text:
    """What is sent to the rewriter, and what comes back."""

    reasoning: str
    answer: str | None
    """None: the answer is no free text, or needs no rewriting, and stays as it is."""

    @property
    def whole(self) -> str:
        # No <think> around it: what a reply begins with between those tags is the rewriter's own thinking.
        return (
            self.reasoning if self.answer is None else f"{self.reasoning}\n\n<answer>{self.answer}</answer>"
        )


def _goes_along(record: Record, ctx: Context, answer: str) -> bool:
    """Say whether the answer is sent too: where it is free text, and every text is sent or it holds a leak."""
    if record.gold.answer_type != "open":
        return False
    return ctx.settings.rewrite.send == "all" or leak_in(answer, ctx.settings.leaks) is not None


def _edits(before: str, after: str, rule: RewriteHead) -> int | None:
    old, new = words(before), words(after)
    return edits(old, new, _most_edits(len(old), rule))


def _most_edits(count: int, rule: RewriteHead) -> int:
    """Say how many of `count` words may change: as many as the length may, or a share of them."""
    return max(rule.max_word_gap, int(rule.max_edit_share * count))


def _taken(record: Record, before: _Text, reply: str, ctx: Context) -> Record:
    """Take the rewritten text, unless its length, its tags, its words or a leak speak against it."""
    rule, gap, evidence = ctx.settings.rewrite, record.word_gap or 0, reply[:500]
    if abs(gap) > rule.max_word_gap:
        reason = f"rewrite: the text changed by {gap:+d} words; more than {rule.max_word_gap} are not taken"
        return record.drop("rewrite", "word_gap", reason, evidence)
    after = _parted(reply) if before.answer is not None else _Text(reasoning=reply, answer=None)
    if after is None or TAGS.search(after.reasoning) or not after.reasoning:
        reason = "rewrite: the text lost the tags that part it, or gained some"
        return record.drop("rewrite", "structure", reason, evidence)
    fault = _fault(record, before, after, ctx) if rule.guard == "strict" else None
    if fault:
        return record.drop("rewrite", fault[0], f"rewrite: {fault[1]}", evidence)
    leak = leak_in(f"{after.reasoning}\n{after.answer or ''}", ctx.settings.leaks)
    if leak is not None:
        reason = f'rewrite: the text still speaks of what was read, not seen: "{leak}"'
        return record.drop("rewrite", "leak", reason, evidence)
    answer = _answer(record) if after.answer is None else after.answer
    return changed(record, reasoning=after.reasoning, answer_text=answer)


def _answer(record: Record) -> str:
    return (record.prediction or "") if record.gold.answer_type == "open" else record.gold.answer


def _fault(record: Record, before: _Text, after: _Text, ctx: Context) -> tuple[str, str] | None:
    """Find what the strict guard has against a rewritten text: a code and a sentence."""
    if record.word_edits is None:
        most = _most_edits(len(words(before.whole)), ctx.settings.rewrite)
        return "edits", f"more than {most} words were taken out or put in"
    if _lines(after.reasoning) > _lines(before.reasoning):
        return "structure", "the text gained a line"
    lost, gained = numbers(before.whole), numbers(after.whole)
    if lost != gained:
        (number, _), *_ = ((lost - gained) + (gained - lost)).most_common()
        did = "lost" if lost[number] > gained[number] else "gained"
        return "numbers", f'the text {did} the number "{number}"'
    was, now = before.answer or "", after.answer or ""
    if was.split() != now.split() and leak_in(was, ctx.settings.leaks) is None:
        return "answer", "the answer was changed, and held nothing to be rewritten"
    return None


def _lines(text: str) -> int:
    return sum(1 for line in text.splitlines() if line.strip())


def _parted(text: str) -> _Text | None:
    parts = re.fullmatch(r"(.*?)<answer>(.*?)</answer>\s*", text, re.DOTALL)
    if parts is None or TAGS.search(parts[2]):
        return None
    return _Text(reasoning=parts[1].strip(), answer=parts[2].strip())
