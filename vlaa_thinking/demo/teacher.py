"""The rule-based model of the offline default: it plays all four roles from the texts that it is given."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import TYPE_CHECKING

from vlaa_thinking.demo import KINDS, faults
from vlaa_thinking.demo.kind import NUMBERS, Solution, pick
from vlaa_thinking.llm import Completion, Request, State, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from vlaa_thinking.record import AnswerType

_LEADS = (
    "This is what can be seen.",
    "Here is what the image holds, part by part.",
    "Seen as a whole and then piece by piece:",
    "All that is there to see:",
)
_OPENINGS = (
    "Let me look at the image first and then turn to the question.",
    "First I look at the image, then I work out what is asked for.",
    "The question can be settled step by step. I look at the image and begin with what is there.",
    "To answer this I look at the image part by part, and begin with what is there.",
)
_CLOSINGS = (
    "That settles the question.",
    "This is what was asked for, and nothing else is needed.",
    "With that, every part of the question has its answer.",
    "Each step followed from what can be seen, so I can answer now.",
)
_UNKNOWN = "I cannot tell"

# Talk of a caption, and what someone says instead who sees the image; each pair is about equally long.
_REWORDED = tuple(
    (re.compile(rf"\b{old}\b", re.IGNORECASE), new)
    for old, new in (
        (r"(?:caption|description|rationale|text) (?:lists|mentions|says|states|describes)", "image shows"),
        (r"(?<=according to the )text|(?<=the )notes", "image"),
        (r"(?:caption|description|rationale)", "image"),
        (r"(?:captions|descriptions|rationales)", "images"),
        (r"describes", "shows"),
        (r"described", "shown"),
    )
)
_LITTLE = re.compile(r"a|an|and|are|as|at|be|by|did|for|had|has|in|is|it|its|of|on|or|the|to|was|were|would")


class Teacher:
    """A model that works by rule; faults come at the rates in `params`, all 0 if they are absent."""

    identity: str = "demo-teacher/1"
    """Names its answers in the cache; the number grows with every change of what it says."""

    async def __call__(self, request: Request, /) -> Completion:
        """Answer in the request's role."""
        act = _ROLES.get(request.role)
        if act is None:
            return _reply(request, "The demo's teacher has no rules for this role.", state="refused")
        return act(request)


def _caption(request: Request) -> Completion:
    notes = request.values.get("notes", "").strip().splitlines()
    if not notes:
        return _reply(request, "An image that no notes describe.")
    if faults.strike(request, "refuse"):
        return _reply(request, "I'm sorry, but I can't help with this image.", state="refused")
    if rng := faults.strike(request, "miscount"):
        notes = faults.misread(notes, rng)
    return _reply(request, " ".join([pick(_LEADS, *notes), *notes]))


def _reason(request: Request) -> Completion:
    caption, question = request.values.get("caption", ""), request.values.get("question", "")
    found = _solve(caption, question)
    if found is None:
        thought = "I look for what the question asks about, but nothing that is given here settles it."
        return _reply(request, f"This cannot be told.\n\n<answer>{_UNKNOWN}</answer>", reasoning=thought)
    answer_type, solution = found
    *first, last = solution.steps
    opening, closing = pick(_OPENINGS, caption, question), pick(_CLOSINGS, caption, question)
    paragraphs = [f"{opening} {first[0]}", " ".join(first[1:]), last]
    if rng := faults.strike(request, "doubt"):
        paragraphs.append(faults.doubt(solution.recheck, rng))
    reasoning = "\n\n".join(filter(None, paragraphs)) + f" {closing}"
    if rng := faults.strike(request, "caption_talk"):
        reasoning = faults.give_away(reasoning, rng)
    if rng := faults.strike(request, "truncate"):
        return _reply(request, "", reasoning=faults.cut_off(reasoning, rng), state="truncated")
    answer = f"<answer>{solution.answer}</answer>"
    if rng := faults.strike(request, "sloppy"):
        answer = faults.dress(answer_type, solution.answer, solution.loose, rng)
    return _reply(request, f"{last}\n\n{answer}", reasoning=reasoning)


def _solve(caption: str, question: str) -> tuple[AnswerType, Solution] | None:
    for kind in KINDS.values():
        if solution := kind.solve(caption, question):
            return kind.ANSWER_TYPE, solution
    return None


def _rewrite(request: Request) -> Completion:
    text = request.values.get("text", "")
    for old, new in _REWORDED:
        text = old.sub(partial(_in_place, new), text)
    if faults.strike(request, "overcut"):
        text = faults.overcut(text)
    return _reply(request, text)


def _in_place(new: str, old: re.Match[str]) -> str:
    """Begin with a capital where the old words did."""
    return new.capitalize() if old[0][0].isupper() else new


def _judge(request: Request) -> Completion:
    question, golds, prediction = (request.values.get(name, "") for name in faults.READS["judge"])
    each = (_missing(_plain(question), _plain(gold), _plain(prediction)) for gold in golds.split(" | "))
    missing = min(each, key=len)
    if missing:
        verdict = {"reason": f"The given answer lacks {', '.join(missing)}.", "verdict": "no"}
    else:
        verdict = {"reason": "The given answer says what the reference says.", "verdict": "yes"}
    return _reply(request, json.dumps(verdict))


def _missing(question: str, gold: str, prediction: str) -> list[str]:
    """Name what the reference says and the prediction does not.

    Of a sentence only the words count that the question did not bring in; of anything else all, in order.
    """
    words = gold.split()
    if sum(len(word) > 1 and word.isalpha() for word in words) < 3:
        return [] if words and f" {gold} " in f" {prediction} " else [gold or "a reference"]
    told = question.split()
    telling = [word for word in words if word not in told and not _LITTLE.fullmatch(word)] or words
    return [word for word in telling if word not in prediction.split()]


def _plain(text: str) -> str:
    r"""Keep words and numbers: "\frac{3}{4}" and "3/4" are one, as are "$4.50" and "4.50"."""
    text = re.sub(r"\\frac\{(\d+)\}\{(\d+)\}", r"\1/\2", text.lower())
    text = re.sub(r"-\s+(?=\d)", "-", re.sub(r"(\.\d+?)0+\b", r"\1", text))
    words = re.findall(r"-?\d+(?:[./]\d+)*|[a-z]+|[-+=]", text)
    return " ".join(str(NUMBERS.index(word)) if word in NUMBERS[1:] else word for word in words)


_ROLES: dict[str, Callable[[Request], Completion]] = {
    "captioner": _caption,
    "reasoner": _reason,
    "rewriter": _rewrite,
    "judge": _judge,
}


def _reply(request: Request, text: str, *, reasoning: str = "", state: State = "ok") -> Completion:
    """Wrap a text with counts of tokens, four characters to each."""
    texts = [message.text for message in request.messages] or request.values.values()
    asked = sum(len(part) for part in texts)
    usage = Usage(input_tokens=asked // 4, output_tokens=(len(reasoning) + len(text)) // 4)
    return Completion.of(text, reasoning=reasoning, state=state, usage=usage)
