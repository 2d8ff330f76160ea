"""Step 3: caption and question, never image or gold answer, become reasoning and an answer (paper, section 2)."""

from __future__ import annotations

import string
from dataclasses import replace
from typing import TYPE_CHECKING

from vlaa_thinking.checks.answer import Found, read_answer
from vlaa_thinking.checks.canonical import options_in
from vlaa_thinking.steps import unfinished

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vlaa_thinking.record import Record
    from vlaa_thinking.settings import Verifier
    from vlaa_thinking.steps import Context


async def distill(record: Record, ctx: Context) -> Record:
    """Let the text-only reasoner think and answer."""
    question = question_text(record, ctx.settings.verifiers)
    record, reply = await ctx.ask("distill", record, {"caption": record.caption or "", "question": question})
    if reply.state != "ok":
        return unfinished(record, "distill", reply)
    reasoning, response = reply.reasoning, reply.text
    if not reasoning:
        reasoning, response = headless_thinking(response)
    record = replace(record, teacher_reasoning=reasoning, teacher_response=response)
    if not reasoning:
        return record.drop(
            "distill", "no_reasoning", "distill: the reply holds an answer and no reasoning", response[:500]
        )
    found = read_answer(response)
    if not isinstance(found, Found):
        return record.drop(
            "distill", "no_answer", f"distill: no answer could be read: {found.reason}", response[-500:]
        )
    return replace(record, prediction=found.text, found_by=found.how)


def question_text(record: Record, verifiers: Mapping[str, Verifier]) -> str:
    """Put the question together as it is asked: its options, unless it lists them itself, and the instruction."""
    gold = record.gold
    parts = [record.question]
    if gold.choices and not options_in(record.question):
        parts.append(
            "\n".join(
                f"{letter}) {text}"
                for letter, text in zip(string.ascii_uppercase, gold.choices, strict=False)
            )
        )
    parts.append(verifiers[gold.answer_type].instruction)
    return "\n".join(parts)


def headless_thinking(text: str) -> tuple[str, str]:
    """Split a reply whose `<think>` stood in the chat template, so that only `</think>` came back."""
    head, mark, rest = text.partition("</think>")
    if mark and "<think>" not in text and "</think>" not in rest:
        return head.strip(), rest.strip()
    return "", text
