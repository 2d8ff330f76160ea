"""The right answer of a released row: from `gt` where it can be read, else from the row's own answer."""

from __future__ import annotations

import re
import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlaa_thinking.checks import canonical
from vlaa_thinking.checks.answer import last_boxed
from vlaa_thinking.checks.latex import equation, stated
from vlaa_thinking.checks.mentions import numbers_in, whole
from vlaa_thinking.checks.number import read_number
from vlaa_thinking.checks.plain import LIMIT, plain
from vlaa_thinking.record import Gold

if TYPE_CHECKING:
    from vlaa_thinking.record import AnswerType

VERIFIERS: dict[str, AnswerType] = {
    "digit": "digit",
    "mcq": "choice",
    "math": "math",
    "iou": "iou",
    "open_ended": "open",
}
"""`verifier_type` in our terms."""

_STEPS = re.compile(r"(?:\u2020[ \t]*|^[ \t]*)(?:final )?answer[ \t]*:", re.IGNORECASE | re.MULTILINE)
_WORKED = re.compile(r"\u2020|\bstep\s*\d", re.IGNORECASE)
_OUTPUT = re.compile(r"\s*output(?:\s+\d+)?(?:\s*:|(?=\s))\s*", re.IGNORECASE)
_WRAPPED = re.compile(r"(?:\\b|\x08)oxed\s*\{|\\\[|\\\(|\$")
_WHOLE = re.compile(r"\b(?:function|equation|expression|formula|parabola)\b", re.IGNORECASE)
_PART = re.compile(
    r"\bvalues? of\b|\bsolve for\b|\bhow (?:many|much|long|large)\b|\bevaluate\b", re.IGNORECASE
)
_COORDINATES = ("x", "y")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A right answer, or why there is none."""

    gold: Gold
    """As it stands, where it cannot be read."""
    fault: str = ""
    """One sentence without a full stop; "" where it can be read."""
    defects: tuple[str, ...] = ()


def of_gt(gt: object, kind: AnswerType | None, question: str) -> Reading:
    """Read `gt`; without a `kind` the answer tells its own."""
    defects = []
    if not isinstance(gt, str):
        defects.append("gt_not_text")
    text = gt if isinstance(gt, str) else reprlib.repr(gt)
    if _WORKED.search(text) and (lines := list(_STEPS.finditer(text))):
        defects.append("gt_steps")
        text = text[lines[-1].end() :].strip()
    if prefix := _OUTPUT.match(text):
        defects.append("gt_prefix")
        text = text[prefix.end() :]
    gold, fault = _canonical(text, kind, question)
    if gold.answer_type == "choice" and not fault and text.strip() != gold.answer:
        defects.append("gt_form")
    if gold.answer_type == "math" and not fault and unknown_only(gold.answer, question):
        defects.append("gt_unknown_only")
        fault = (
            f'the function is asked, and the answer "{gold.answer[:40]}" gives the value of an unknown alone'
        )
    return Reading(gold=gold, fault=fault, defects=tuple(defects))


def of_answer(text: str, kind: AnswerType | None, question: str) -> Reading:
    """Read the right answer out of what a reply gives as its answer."""
    defects = ["answer_wrapped"] if _WRAPPED.search(text) and kind != "open" else []
    gold, fault = _canonical(text, kind, question)
    if fault or _is_prose(text, gold.answer_type):
        defects.append("answer_prose")
    if fault and (inner := _stated(text, gold.answer_type)):
        gold, fault = _canonical(inner, gold.answer_type, question)
    return Reading(gold=gold, fault=fault, defects=tuple(defects))


def unknown_only(answer: str, question: str) -> bool:
    """Tell whether the question asks for a function and the answer only says what its unknowns are ("a = 2")."""
    if not _WHOLE.search(question) or _PART.search(question):
        return False
    parts = [equation(part) for part in re.split(r"\s*(?:,|;|\band\b)\s*", plain(answer))]
    return all(
        len(part.name) == 1 and part.name not in _COORDINATES and read_number(part.value) is not None
        for part in parts
    )


def _canonical(text: str, kind: AnswerType | None, question: str) -> tuple[Gold, str]:
    """Make an answer canonical; as it stands and with a sentence, where it cannot be read."""
    choices = canonical.options_in(question)
    if len(text) > LIMIT:
        kind = kind or "open"
        fault = "" if kind == "open" else f"the answer has more than {LIMIT:,} characters"
        return Gold(answer_type=kind, answer=text, choices=choices), fault
    kind = kind or canonical.infer(text, question=question, choices=choices)
    try:
        return canonical.canonical(text, kind, choices=choices), ""
    except ValueError as exc:
        return Gold(answer_type=kind, answer=text, choices=choices), str(exc)


def _stated(text: str, kind: AnswerType) -> str | None:
    """Return what a sentence states as its answer, if that is one thing."""
    boxed = last_boxed(text)
    if boxed:
        return boxed
    if kind == "digit":
        values = {whole(found.number) for found in numbers_in(plain(text)) if not found.denied}
        return str(values.pop()) if len(values) == 1 else None
    return stated(text) if kind == "math" else None


def _is_prose(text: str, kind: AnswerType) -> bool:
    """Tell a sentence from an answer of a closed type: four words or more that are no LaTeX, and no letter first."""
    if kind in ("open", "iou") or (kind == "choice" and re.match(r"\W*[A-Za-z]\b", text)):
        return False
    words = re.findall(r"[A-Za-z]{2,}", re.sub(r"\\[a-zA-Z]+", " ", text))
    return len(words) >= 4
