"""What real models get wrong, at the rates that a request names: drawn by hash, so that order never matters."""

from __future__ import annotations

import json
import re
from random import Random
from typing import TYPE_CHECKING

from vlaa_thinking.demo.kind import COLOURS

if TYPE_CHECKING:
    from vlaa_thinking.llm import Request
    from vlaa_thinking.record import AnswerType

READS = {
    "captioner": ("notes",),
    "reasoner": ("caption", "question"),
    "rewriter": ("text",),
    "judge": ("question", "gold", "prediction"),
}
"""The values that each role is given."""

_TALK = {
    "look at the image": ("read the caption", "look at the description"),
    "The image shows": ("The caption lists", "The caption mentions", "The description lists"),
    "In the image": ("According to the caption", "As described in the caption", "In the description"),
}
_DOUBTS = (
    "Wait, let me check this before I settle on it. {} So the result stands.",
    "Hmm, I should make sure that nothing was missed. Let me double-check. {} It holds.",
    "Is there a mistake in this? Alternatively, I can come to it from the other side. {} Both ways agree.",
    "Let me go over this again. {} That is the same result.",
)
_BOXED, _LABEL = "So it is $\\boxed{{{answer}}}$.", "**Answer:** {loose}"
_PHRASE, _TAG = "The final answer is {loose}.", "<answer>{loose}</answer>"
_CLOTHES: dict[AnswerType, tuple[str, ...]] = {
    "digit": (_BOXED, _LABEL, _PHRASE, _TAG),
    "choice": (_BOXED, _LABEL, _PHRASE, _TAG),
    "math": (_BOXED, _LABEL, _TAG),
    "iou": (_LABEL, _TAG),
    "open": (_LABEL, "**Final answer:** {loose}"),
}


def strike(request: Request, fault: str) -> Random | None:
    """Tell whether a fault strikes this request; if so, return the source of its further draws."""
    rate = request.params.get(fault, 0)
    if not isinstance(rate, int | float) or rate <= 0:
        return None
    texts = [request.values.get(name, "") for name in READS[request.role]]
    draw = [request.sample] if request.sample else []
    rng = Random(json.dumps([request.params.get("seed", 0), fault, request.role, texts, *draw]))
    return rng if rng.random() < rate else None


def misread(notes: list[str], rng: Random) -> list[str]:
    """Overlook or misread about a third of the facts; the first line, what the image is, stays."""
    head, *facts = notes
    for place in sorted(rng.sample(range(len(facts)), -(-len(facts) // 3)), reverse=True):
        if rng.random() < 0.5:
            del facts[place]
        else:
            facts[place] = _other(facts[place], rng)
    return [head, *facts]


def _other(fact: str, rng: Random) -> str:
    """Put another colour into a fact, or another number where it has no colour."""
    for colour in COLOURS:
        if colour in fact.split():
            return fact.replace(colour, rng.choice([other for other in COLOURS if other != colour]), 1)
    shift = rng.randint(3, 15)
    return re.sub(r"\d+", lambda number: str(int(number[0]) + shift), fact, count=1)


def give_away(reasoning: str, rng: Random) -> str:
    """Speak of the caption where the reasoning speaks of the image."""
    for phrase, others in _TALK.items():
        reasoning = reasoning.replace(phrase, rng.choice(others))
    return reasoning


def doubt(recheck: str, rng: Random) -> str:
    """Wrap a second way to the result into words of self-reflection."""
    return rng.choice(_DOUBTS).format(recheck)


def dress(answer_type: AnswerType, answer: str, loose: str, rng: Random) -> str:
    """Write an answer in clothes that nobody asked for, yet that a reader can still find."""
    return rng.choice(_CLOTHES[answer_type]).format(answer=answer, loose=loose)


def cut_off(text: str, rng: Random) -> str:
    """End in the middle of a sentence, as a reply does that runs out of tokens."""
    words = text.split(" ")
    return " ".join(words[: round(len(words) * rng.uniform(0.4, 0.8))]).rstrip(".,:;\n ")


def overcut(text: str) -> str:
    """Lose the longest paragraph, tags excepted."""
    paragraphs = text.split("\n\n")
    longest = max(range(len(paragraphs)), key=lambda place: len(paragraphs[place].split()))
    bare = re.sub(r"^((?:<think>)?\s*).*?((?:</think>.*)?)$", r"\1\2", paragraphs[longest], flags=re.DOTALL)
    paragraphs[longest] = bare
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)
