"""Step 3: caption and question, never image or gold answer, become reasoning and an answer (paper, section 2).

The paper makes one draw for each question. Of several, each is cached by itself and checked as an answer is in
step 5; one is kept, by the rule in generators/3_distill.md, and the share that is right is the row's
`teacher_pass_rate`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlaa_thinking.checks.answer import Found, read_answer
from vlaa_thinking.record import changed
from vlaa_thinking.sources.text import repaired
from vlaa_thinking.steps import every, unfinished
from vlaa_thinking.steps.question import question_text
from vlaa_thinking.steps.verdict import verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vlaa_thinking.record import Record
    from vlaa_thinking.steps import Context


async def distill(record: Record, ctx: Context) -> Record:
    """Let the text-only reasoner think and answer, as often as the project says; keep one draw."""
    samples = ctx.settings.distill.samples
    if samples == 1:
        return await _draw(record, ctx, 0)
    draws = await every([_scored_draw(record, ctx, sample) for sample in range(samples)])
    least = ctx.settings.verifiers[record.gold.answer_type].pass_
    kept = _kept([(draw, value is not None and value >= least) for draw, value in draws], ctx)
    rate = pass_rate([value for _, value in draws], least)
    return changed(draws[kept][0], draw=kept, teacher_pass_rate=rate)


def pass_rate(values: Sequence[float | None], least: float) -> float | None:
    """Return the share of draws that score `least` or more, of those that could be scored; None if none could."""
    scored = [value for value in values if value is not None]
    return sum(value >= least for value in scored) / len(scored) if scored else None


async def _draw(record: Record, ctx: Context, sample: int) -> Record:
    """Ask once, and read reasoning and answer; a reply that holds no such thing ends the record's way."""
    question = question_text(record, ctx.settings.verifiers)
    values = {"caption": record.caption or "", "question": question}
    record, reply = await ctx.ask("distill", record, values, sample=sample)
    if reply.state != "ok":
        return unfinished(record, "distill", reply)
    reasoning, response = reply.reasoning, reply.text
    if not reasoning:
        reasoning, response = headless_thinking(response)
    record = changed(record, teacher_reasoning=reasoning, teacher_response=response)
    if not reasoning:
        return record.drop(
            "distill", "no_reasoning", "distill: the reply holds an answer and no reasoning", response[:500]
        )
    found = read_answer(repaired(response))
    if not isinstance(found, Found):
        return record.drop(
            "distill", "no_answer", f"distill: no answer could be read: {found.reason}", response[-500:]
        )
    return changed(record, prediction=found.text, found_by=found.how)


async def _scored_draw(record: Record, ctx: Context, sample: int) -> tuple[Record, float | None]:
    """Make a draw and score its answer; one without an answer is wrong, as it would be in GRPO."""
    draw = await _draw(record, ctx, sample)
    if draw.outcome is not None:
        return draw, 0.0
    judged, score = await verdict(draw, draw.prediction or "", ctx, rules=ctx.settings.verify.rules)
    return changed(draw, models=judged.models), score.value


def _kept(draws: Sequence[tuple[Record, bool]], ctx: Context) -> int:
    """Choose a draw, each given with whether it is right; without an answer in any, the first ends the way."""
    keep = ctx.settings.distill.keep
    readable = [number for number, (draw, _) in enumerate(draws) if draw.outcome is None]
    right = [number for number in readable if draws[number][1]]
    if not right or keep == "first":
        return readable[0] if readable else 0
    if keep == "first_right":
        return right[0]
    return min(right, key=lambda number: len((draws[number][0].teacher_reasoning or "").split()))


def headless_thinking(text: str) -> tuple[str, str]:
    """Split a reply whose `<think>` stood in the chat template, so that only `</think>` came back."""
    head, mark, rest = text.partition("</think>")
    if mark and "<think>" not in text and "</think>" not in rest:
        return head.strip(), rest.strip()
    return "", text
