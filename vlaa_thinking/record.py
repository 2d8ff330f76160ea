"""The values that travel: a row comes in, a record walks the steps, an outcome ends its way."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from dataclasses import replace

    changed = replace
    from pathlib import Path
else:

    def changed(record: Record, /, **fields: Any) -> Record:  # noqa: ANN401 - the fields' own types
        """Return a copy of a record with some fields changed: `dataclasses.replace`, twenty times as fast.

        A row is changed a dozen times on its way, and has forty fields.
        """
        copy = object.__new__(Record)
        copy.__dict__.update(record.__dict__, **fields)
        if len(copy.__dict__) > len(record.__dict__):
            raise TypeError(f"a record has no {', '.join(fields.keys() - record.__dict__.keys())}")
        return copy


AnswerType = Literal["digit", "choice", "math", "iou", "open"]
"""The five kinds of answer that the paper's mixed reward tells apart (section 4)."""

ANSWER_TYPES: tuple[AnswerType, ...] = ("digit", "choice", "math", "iou", "open")

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

Frame = Literal["unit", "thousand", "pixels"]
"""What a box's numbers are parts of: the image's sides as 1, its sides as 1000, or its pixels."""

Way = Literal["full", "adopt", "rl_only"]
"""The steps between `collect` and `curate` that a source's rows take: all; `verify` alone, over reasoning of their
own; or none, for rows that are for reinforcement learning alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a row or its image cannot be used."""

    code: str
    """A short stable name: "missing_image", "not_an_image", "several_images", "unanswerable" ..."""
    reason: str
    """Without a full stop, to stand after "collect: "."""
    again: bool = False
    """Whether another try may do better: the row has then failed, and is not dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a source yields: one question on one image, with its right answer."""

    id: str | None = None
    """The source's own id; without one, a hash of image and question takes its place."""
    image: Path | bytes | Fault | None
    """The image file or its bytes; why there is none; None if the source names none. The last two drop the row."""
    question: str
    answer: str
    """The right answer as the source writes it; `collect` makes it canonical."""
    answer_type: AnswerType | Literal["auto"] = "auto"
    answers: tuple[str, ...] = ()
    """Every string that counts as right, where the source has such a list."""
    choices: tuple[str, ...] = ()
    """The options in order, without their letters."""
    boxes: tuple[Box, ...] = ()
    """Normalised xyxy in the image's own frame."""
    notes: str = ""
    """What the source knows of the image, for the captioner's eyes (CLEVR's scene text, say)."""
    caption: str | None = None
    """The source's own caption: the caption step then makes no call."""
    text_question: str | None = None
    """The problem as text alone: it takes the caption's place, and no call is made."""
    reasoning: str | None = None
    """The source's own reasoning, for rows that are adopted."""
    response: str | None = None
    """The source's own answer, for rows that are adopted."""
    answer_share: float | None = None
    """The share of the source's annotators who gave the right answer, where several were asked."""
    fault: Fault | None = None
    """What the source itself knows to be wrong with the row: `collect` then drops it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gold:
    """The right answer in the form that checks read; rebuilt from a dataset's columns in GRPO."""

    answer_type: AnswerType
    answer: str
    """Canonical: "3", "B", "y = 2x + 3", "[0.10, 0.20, 0.50, 0.60]", or text."""
    answers: tuple[str, ...] = ()
    """Accepted strings; with an `open` answer, what rules can decide."""
    choices: tuple[str, ...] = ()
    """Options in order: the first is A."""
    boxes: tuple[Box, ...] = ()
    """Normalised xyxy, each number in [0, 1]."""
    frame: Frame = "unit"
    """The frame in which a *prediction's* boxes are written."""
    size: tuple[int, int] | None = None
    """Width and height in pixels, needed for the frame `pixels`."""
    tolerance: float = 0.0
    """Relative difference at which a decimal number still counts as equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A verdict: how right a prediction is, why, and who says so. Not scored is not zero."""

    value: float | None
    """In [0, 1]; None: this way of checking cannot tell."""
    reason: str
    """One short sentence."""
    how: str = "rule"
    """The way it was reached: "rule" or "judge"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a row's way ended. Every input row has exactly one."""

    status: Literal["kept", "dropped", "failed"]
    step: str
    """The step at which it ended."""
    code: str
    """A short stable name: "wrong_answer", "truncated", "over_cap" ..."""
    reason: str
    """One sentence for people."""
    evidence: str | None = None
    """What shows it: the reply, the judge's words, the answer that was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What was found out about an image, once, from its original bytes."""

    sha256: str
    """Of the original bytes, in hex."""
    format: str
    """As Pillow names it: "PNG", "JPEG" ...; by content, never by suffix."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    bytes: int
    """Length of the original file."""
    turned: bool = False
    """Whether its EXIF orientation asks for it to be turned or mirrored before it is looked at."""
    fingerprint: str = ""
    """What near-duplicates have nearly the same of, in base64; "" for an image of a single colour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionSignals:
    """What a caption's words show of its quality, without a look at the image."""

    words: int
    refusal: bool
    """Whether it begins as a refusal does ("I'm sorry, I can't ...")."""
    repetition: float
    """The share of its runs of five words that stood in it before, in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """A phrase of self-reflection ("wait", "alternatively") met in a teacher's reply."""

    phrase: str
    """As the cue list writes it."""
    start: int
    """Characters from the start of the text that was searched."""


@dataclass(frozen=True, kw_only=True)  # no slots: see `changed`
class Record:
    """One row on its way. Steps return a changed copy; nothing is changed in place."""

    id: str
    """`source/source_id`."""
    source: str
    source_id: str
    source_license: str
    """An SPDX-like licence name, or "unknown"."""
    question: str
    gold: Gold
    picture: Picture | None = None
    """None until the image is found sound, and for rows dropped for their image."""
    way: Way = "full"
    notes: str = ""
    text_question: str | None = None
    source_caption: str | None = None
    source_reasoning: str | None = None
    source_response: str | None = None
    answer_share: float | None = None

    caption: str | None = None
    """What the reasoner reads instead of the image."""
    caption_signals: CaptionSignals | None = None
    draw: int | None = None
    """Which of the reasoner's draws was kept, from 0; None where only one was made."""
    teacher_pass_rate: float | None = None
    """The share of the reasoner's draws that are right; None where one was made, or none could be scored."""
    teacher_response: str | None = None
    """The reasoner's reply without its reasoning, as it came."""
    teacher_reasoning: str | None = None
    """The reasoner's reasoning, as it came."""
    prediction: str | None = None
    """The answer read out of `teacher_response`."""
    found_by: str | None = None
    """Where that answer stood: "tag", "boxed", "label" or "phrase"; "source" where it was adopted."""
    reasoning: str | None = None
    """As rewritten: what is published."""
    answer_text: str | None = None
    """The published answer where it is free text, as rewritten; else the canonical answer."""
    word_gap: int | None = None
    """Words of what came out of the rewriter less the words of what went in."""
    word_edits: int | None = None
    """Words that the rewriter took out or put in."""
    score: Score | None = None
    second: Score | None = None
    """The judge's verdict, where a rule's decided and the judge was asked all the same."""
    policy_pass_rate: float | None = None
    """The share of the policy's draws that are right; None where it was not asked, or none could be scored."""
    cues: tuple[Cue, ...] = ()
    models: tuple[tuple[str, str], ...] = ()
    """(role, model) of every reply that this record rests on."""
    outcome: Outcome | None = None

    @property
    def key(self) -> str:
        """The place of this row in every file: a hash of its id, so that sources mix."""
        return hashlib.sha256(self.id.encode()).hexdigest()

    def is_within(self, share: float) -> bool:
        """Say whether this row is one of a share of all rows, always the same ones."""
        return int(self.key[:8], 16) < share * 2**32

    def drop(self, step: str, code: str, reason: str, evidence: str | None = None) -> Record:
        """Return this record with its way ended at `step`."""
        outcome = Outcome(status="dropped", step=step, code=code, reason=reason, evidence=evidence)
        return changed(self, outcome=outcome)

    def fail(self, step: str, code: str, reason: str) -> Record:
        """Return this record as failed: nothing is known of it yet, the next build tries again."""
        return changed(self, outcome=Outcome(status="failed", step=step, code=code, reason=reason))
