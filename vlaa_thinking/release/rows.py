"""One released row as a record, with every defect that it shows."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlaa_thinking.checks import math
from vlaa_thinking.checks.latex import equation
from vlaa_thinking.checks.plain import plain
from vlaa_thinking.record import Gold, Record
from vlaa_thinking.release.fields import Fields, Head, Reply, head_of, plain_text
from vlaa_thinking.release.gold import Reading, of_answer, of_gt
from vlaa_thinking.release.origins import UNKNOWN, Origin
from vlaa_thinking.sources.text import repaired

if TYPE_CHECKING:
    from vlaa_thinking.marking import Rules
    from vlaa_thinking.record import AnswerType, Score
    from vlaa_thinking.release.files import Config, Line

REASONER = "DeepSeek-R1"
"""The paper's reasoner, whose reply `ds_answer` is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row on its way into the dataset."""

    head: Head
    record: Record
    """Without its picture; its id is still the one that the row has."""
    config: Config
    line: int
    origin: Origin
    url: str
    """Where the row itself says that its image is; "" if it does not."""
    defects: tuple[str, ...]
    fault: tuple[str, str, str] | None
    """Why the row is rejected, whatever becomes of its image: code, sentence, evidence."""


def entry(line: Line, config: Config, rules: Rules) -> Entry:
    """Read one line of a released file; `rules` hold the row's own answer against its `gt`."""
    if line.row is None:
        return _unreadable(line, config)
    row = Fields(line.row, config, damaged=line.damaged)
    head = head_of(line.row)
    origin = row.origin(head)
    question = row.question()
    teacher = row.teacher()
    reply = teacher if row.is_february else row.reply()
    kind = row.kind(origin)
    reading, from_gt = _right_answer(row, reply, kind, question)
    gold = reading.gold
    score = _score(reply.answer, gold, rules) if from_gt and not reading.fault else None
    wrong = score is not None and rules.is_right(score, gold) is False and gold.answer_type != "open"
    if config == "rl" and reply.reasoning:
        row.note("reasoning_in_rl")
    models = {"captioner": row.text("caption_model_id"), "reasoner": REASONER if teacher.response else ""}
    record = Record(
        id=f"{origin.name}/{head.own_id}",
        source=origin.name,
        source_id=head.own_id,
        source_license=origin.license,
        question=question,
        gold=gold,
        notes=row.text("rationale"),
        text_question=row.text("text_question") or None,
        caption=row.text("caption") or None,
        teacher_reasoning=teacher.reasoning or None,
        teacher_response=teacher.response or None,
        prediction=reply.answer or None,
        reasoning=reply.reasoning or None,
        answer_text=(reply.answer if gold.answer_type == "open" else "") or gold.answer,
        score=score,
        models=tuple((role, model) for role, model in models.items() if model not in ("", "none")),
    )
    return Entry(
        head=head,
        record=record,
        config=config,
        line=line.number,
        origin=origin,
        url=row.text("url"),
        defects=tuple(row.defects),
        fault=_fault(row, question, reading, reply, score if wrong else None),
    )


def _right_answer(row: Fields, reply: Reply, kind: AnswerType | None, question: str) -> tuple[Reading, bool]:
    """Read the right answer: `gt`, or the row's own answer where that is missing or cannot be read; says whether `gt`."""
    own = of_answer(reply.answer, kind, question) if reply.answer else None
    row.note(*(own.defects if own else ()))
    if not row.has_gt:
        if row.config == "rl":
            row.note("gt_missing")
        nothing = Gold(answer_type=kind or "open", answer="")
        return own or Reading(gold=nothing, fault="the row has neither `gt` nor an answer"), False
    reading = of_gt(row.mended(row.gt) if isinstance(row.gt, str) else row.gt, kind, question)
    row.note(*reading.defects)
    if not reading.fault or own is None or own.fault:
        return reading, True
    if "gt_unknown_only" in reading.defects and _completes(own.gold.answer, reading.gold.answer):
        return own, False
    if row.config == "sft" and "gt_unknown_only" not in reading.defects:
        row.note("gt_unreadable")
        return own, False
    return reading, True


def _fault(
    row: Fields, question: str, reading: Reading, reply: Reply, wrong: Score | None
) -> tuple[str, str, str] | None:
    """Say why the row is rejected, whatever its image: code, sentence, evidence; None if it is not."""
    evidence = f"gt: {repaired(plain_text(row.gt))[:500]}\nanswer: {reply.answer[:500]}"
    if not question:
        return "empty_question", "the row has no question", evidence
    if reading.fault:
        return "bad_answer", reading.fault, evidence
    if row.config == "rl":
        return None
    if wrong:
        sentence = f"the row's own answer is not its right answer: {wrong.reason}"
        return "gold_conflict", sentence.rstrip("."), evidence
    if not reply.reasoning:
        return "no_reasoning", "there is no reasoning in one pair of <think> tags", reply.response[:500]
    return None


def _score(answer: str, gold: Gold, rules: Rules) -> Score | None:
    """Hold the row's own answer against its `gt`, as far as that takes no computer algebra."""
    if not answer:
        return None
    if rules.checks[gold.answer_type] is math.check:
        score = math.exact(answer, gold)
    else:
        score = rules.score(answer, gold)
    return score if score and score.value is not None else None


def _completes(answer: str, part: str) -> bool:
    """Tell whether an answer states a function that holds the value of an unknown ("y = 2x + 1" and "a = 2")."""
    whole, value = equation(plain(answer)), equation(plain(part)).value
    stated = re.search(rf"(?<![\d.]){re.escape(value)}(?![\d.])", whole.value)
    return bool(whole.name and stated and re.search(r"[a-z]", whole.value))


def _unreadable(line: Line, config: Config) -> Entry:
    digest = hashlib.sha256(line.text.encode(errors="replace")).hexdigest()[:16]
    record = Record(
        id="",
        source=UNKNOWN.name,
        source_id="",
        source_license=UNKNOWN.license,
        question="",
        gold=Gold(answer_type="open", answer=""),
    )
    return Entry(
        head=Head(own_id="", identity=digest, image=None),
        record=record,
        config=config,
        line=line.number,
        origin=UNKNOWN,
        url="",
        defects=("unreadable_row",),
        fault=("unreadable_row", line.fault, repaired(line.text)),
    )
