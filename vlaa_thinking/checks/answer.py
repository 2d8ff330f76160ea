"""Where a reply says its answer: the one rule by which answers are read everywhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

How = Literal["tag", "boxed", "label", "phrase"]

_OPEN = re.compile(r"<answer>", re.IGNORECASE)
_CLOSE = re.compile(r"</answer>", re.IGNORECASE)
_BRACES = re.compile(r"(?P<box>(?:\\b|\x08)oxed\s*\{)|\\.|[{}]", re.DOTALL)  # \x08: "\b" that JSON has eaten
_LABEL = re.compile(
    r"(?:^[^\w\n<]{0,20}|(?<=[.!?;][ ])\*{0,2})(?:the[ ]|my[ ])?(?:final[ ]|correct[ ])?answer[ ]?\*{0,2}[ ]?[:\uff1a]"
    r"(?:[ \t*]*\n+)?(?P<text>\$\$[^$]{1,2000}\$\$|\\\[(?s:.){1,2000}?\\\]|[^\n]*)$",
    re.IGNORECASE | re.MULTILINE,
)
_HEADING = re.compile(
    r"^[^\w\n<]{0,20}final[ ]answer[^\w\n<]{0,5}\n+(?P<text>\$\$[^$]{1,2000}\$\$|\\\[(?s:.){1,2000}?\\\]|[^\n]+)$",
    re.IGNORECASE | re.MULTILINE,
)
_PHRASE = re.compile(
    r"\b(?:the|my|our)[ ](?:(?:final[ ]|correct[ ]|right[ ])?answer|(?:final|correct|right|best)[ ](?:option|choice))"
    r"[ ](?:is|would[ ]be|should[ ]be|must[ ]be)\b\s*+:?\s*+(?P<text>[^\n]+?)(?=[.!?](?:[\s*\"')]|$)|\n|$)",
    re.IGNORECASE,
)


_REASONS: dict[How, str] = {
    "tag": "The only <answer> block.",
    "boxed": "No <answer> block: the last \\boxed{}.",
    "label": "No <answer> block or box: the last line that is labelled as the answer.",
    "phrase": "No <answer> block, box or label: the last sentence that says what the answer is.",
}


@dataclass(frozen=True, slots=True)
class Found:
    """An answer as it stands in a reply."""

    text: str
    """Without its tags, box, label or phrase; never empty."""
    how: How
    """What it stood in."""

    @property
    def reason(self) -> str:
        """Why this was read and nothing else."""
        return _REASONS[self.how]


@dataclass(frozen=True, slots=True)
class Missing:
    """No answer could be read."""

    reason: str
    """Why, in one short sentence."""


def read_answer(text: str) -> Found | Missing:
    r"""Read the answer out of a reply from which the reasoning has been taken away.

    Exactly one `<answer>` block is the answer (as the authors' evaluation reads it); two or more, or half a
    block, are none. Only a reply without any such tag is searched on, in this order: the last balanced
    `\boxed{}`; the last "Answer:" or "Final answer:" that begins a line or a sentence, or such a heading; the last
    "the answer is ...".
    """
    opened, closed = list(_OPEN.finditer(text)), list(_CLOSE.finditer(text))
    if opened or closed:
        return _block(text, opened, closed)
    if boxed := last_boxed(text):
        return Found(boxed, "boxed")
    for pattern, how in _WORDED:
        found = [stripped for match in pattern.finditer(text) if (stripped := _bare(match["text"]))]
        if found:
            return Found(found[-1], how)
    return Missing("No answer block, box, label or phrase.")


_WORDED: tuple[tuple[re.Pattern[str], How], ...] = (
    (_LABEL, "label"),
    (_HEADING, "label"),
    (_PHRASE, "phrase"),
)


def last_boxed(text: str) -> str | None:
    r"""Return what the last `\boxed{}` with balanced braces holds; of nested ones, the inner."""
    depth: list[int] = []  # where each open box begins; -1 for other braces
    start, content = -1, ""
    for token in _BRACES.finditer(text):
        if token["box"]:
            depth.append(token.end())
        elif token[0] == "{":
            depth.append(-1)
        elif token[0] == "}" and depth and (begin := depth.pop()) > start:
            start, content = begin, text[begin : token.start()].strip()
    return content or None


def _block(text: str, opened: list[re.Match[str]], closed: list[re.Match[str]]) -> Found | Missing:
    """Read the only `<answer>` block."""
    if len(opened) > 1 and len(closed) > 1:
        count = {2: "Two", 3: "Three"}.get(len(opened), "Many")
        return Missing(f"{count} <answer> blocks.")
    if len(opened) != 1 or len(closed) != 1 or closed[0].start() < opened[0].end():
        return Missing("An <answer> block that is not opened and closed once.")
    inside = text[opened[0].end() : closed[0].start()].strip()
    return Found(inside, "tag") if inside else Missing("The <answer> block is empty.")


def _bare(text: str) -> str:
    """Strip spaces and the asterisks of bold text."""
    return text.strip().strip("*").strip()
