"""The form that a reply is asked for: reasoning between `<think>` tags, then the answer between `<answer>` tags."""

from __future__ import annotations

import re

from vlaa_thinking.checks.answer import Found, Missing, read_answer
from vlaa_thinking.llm.thinking import split_thinking

_FORM = re.compile(r"\s*<think>(?:(?!</?think>).)*</think>\s*<answer>.*</answer>\s*", re.DOTALL)
_THOUGHT = re.compile(r"</answer>(?:(?!<think>).)*</think>", re.DOTALL | re.IGNORECASE)


def is_in_form(reply: str) -> bool:
    """Tell whether a reply is one `<think>` block, then one `<answer>` block that holds something, and no more."""
    return _FORM.fullmatch(reply) is not None and isinstance(read_tagged(reply), Found)


def read_tagged(reply: str) -> Found | Missing:
    """Read the answer out of a whole reply: exactly one `<answer>` block, and not within its reasoning.

    This is how the authors read replies, but for a block with a `</think>` behind it, or in a `<think>` that never
    ends: that is a thought, as it is wherever else replies are read. A box or a phrase, which a teacher may use, is
    not what was asked for.
    """
    found = read_answer(reply)
    if isinstance(found, Found) and found.how != "tag":
        return Missing("No <answer> block.")
    reasoning, rest = split_thinking(reply)
    never_ends = bool(reasoning) and not rest
    if isinstance(found, Found) and (never_ends or _THOUGHT.search(reply)):
        return Missing("The <answer> block stands within the reasoning.")
    return found
