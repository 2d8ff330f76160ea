"""Inline thinking: the reasoning that a reply's text begins with, between its tags."""

from __future__ import annotations

import re


def split_thinking(text: str) -> tuple[str, str]:
    """Split inline thinking off a text that begins with `<think>`; returns (reasoning, rest).

    A reply may quote the tags themselves: of several `</think>` the last one counts that leaves the answer's
    own tags whole behind it.
    """
    start = text.lstrip()
    if not start.startswith("<think>"):
        return "", text
    inside = start.removeprefix("<think>")
    for end in reversed([m.start() for m in re.finditer("</think>", inside)]):
        rest = inside[end + len("</think>") :]
        if rest.count("<answer>") == rest.count("</answer>"):
            return inside[:end], rest
    return inside, ""
