"""A question as it is asked: by the reasoner's prompt, by the judge's, and by the prompt that is published."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

from vlaa_thinking.checks.canonical import options_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vlaa_thinking.record import Record
    from vlaa_thinking.settings import Verifier


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
