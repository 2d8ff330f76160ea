"""What a text says that the answer is not: "not A", "anything but B", "A and B are wrong"."""

from __future__ import annotations

import re

_BEFORE = re.compile(
    r"(?:\b(?:can)?not|n't|\bnor|\bneither|\brather than|\binstead of|\bexcept(?: for)?|\bother than|\bunlike"
    r"|\b(?:all|any|anything|every|everything)(?: of (?:them|these|the))?(?: options?| choices?| answers?| ones?)? but"
    r"|\b(?:eliminat|exclud|reject|discard)\w+|\b(?:eliminate|exclude|reject|discard)|\brul(?:e|ed|es|ing) out|\u2260"
    r"|n't (?:think|believe|say)(?: that)? (?:it is|it's|it|this is|that is))"
    r"\s*(?:be\s|is\s|option\s|choice\s|the\s|answer\s|correct\s)*\(?$",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"\)?(?:\?|,?(?:\s+but)?(?:\s+(?:it|that|this|which))?\s+(?:(?:is|are|seems|looks|would be)(?:n't)?\s+"
    r"(?:not|(?:the |an? )?(?:wrong|incorrect|false))|can(?:not|'t) be)\b)",
    re.IGNORECASE,
)
_WRONG_ONE = re.compile(
    r"\b(?:wrong|incorrect|false)(?:\s+(?:option|choice|answer|one|letter)s?)?\s*(?::|\bis|\bare|\bwould be)\s*\(?$",
    re.IGNORECASE,
)
_LETTER = r"\(?\s*[A-Z](?![\w'])(?:\s*\))?"
_AND = r"(?:,\s*)?\b(?:and|or|nor)\b|/|&"
_LIST = re.compile(rf"{_LETTER}(?:\s*,\s*{_LETTER})*\s*(?:,|(?P<joined>{_AND}))\s*(?:option\s|choice\s)?\(?$")
_LIST_ON = re.compile(
    rf"\)?(?:\s*,\s*{_LETTER}){{0,8}}\s*(?:,|(?P<joined>{_AND}))\s*(?:option\s|choice\s)?{_LETTER}(?P<are>(?=\s+are\b))?"
)


def is_denied(before: str, after: str) -> bool:
    """Tell whether a letter is denied by what stands before or after it, or before or after a list that it is in."""
    if _BEFORE.search(before) or _AFTER.match(after):
        return True
    behind, ahead = _LIST.search(before), _LIST_ON.match(after)
    joined = ahead is not None and ahead["joined"] is not None
    if behind and (behind["joined"] or joined) and _BEFORE.search(before[: behind.start()]):
        return True
    return (
        ahead is not None
        and bool(joined or ahead["are"] is not None)
        and bool(_AFTER.match(after, ahead.end()))
    )


def is_doubtful(before: str) -> bool:
    """Tell whether there is no telling: "the wrong one is A" may be what was asked for, "not A, B" can be read twice."""
    listed = _LIST.search(before)
    return bool(_WRONG_ONE.search(before) or (listed and _BEFORE.search(before[: listed.start()])))
