"""What a dataset's columns are: the one list that the Parquet files, the JSON Schema and every check go by.

A column's form is written in JSON Schema's own words; what Arrow and `datasets` call it is derived from it (arrow.py).
Where null may stand, the form does not say: `empty` does, config by config.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from vlaa_thinking.checks.answer import How
from vlaa_thinking.record import ANSWER_TYPES
from vlaa_thinking.settings import ALL_ROLES

if TYPE_CHECKING:
    from vlaa_thinking.llm import Json

KEPT = ("sft", "rl")
ALL = (*KEPT, "rejected")

DECIDED_BY = {
    "caption": "generators/2_caption.md",
    "distill": "generators/3_distill.md",
    "rewrite": "generators/4_rewrite.md",
    "leaks": "verifiers/leaks.toml",
    "verify": "verifiers/5_verify.md",
    "verifier": "verifiers/{answer_type}.toml",
    "cues": "verifiers/cues.toml",
    "curate": "cards/6_curate.toml",
}
"""The files whose hashes a row names, by what they decided."""

HASH_DIGITS = 16
"""Hex digits of a file's hash that a row names; the manifest has all 64."""

Form = dict[str, Any]
"""A JSON Schema, without null."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    form: Form
    about: str
    """What it holds: one line, without a full stop where it is one sentence."""
    configs: tuple[str, ...] = ALL
    """Those that have it."""
    empty: tuple[str, ...] = ()
    """Those in which it may be null."""
    by: tuple[str, ...] = ("collect",)
    """What wrote it: keys of `croissant.ACTIVITIES`."""


def _text(**more: object) -> Form:
    return {"type": "string", **more}


def _number(least: float | None = None, most: float | None = None) -> Form:
    bounds = {"minimum": least, "maximum": most}
    return {"type": "number", **{name: bound for name, bound in bounds.items() if bound is not None}}


def _whole(least: int = -(2**31)) -> Form:
    return {"type": "integer", "minimum": least, "maximum": 2**31 - 1}


def _list(items: Form, **more: object) -> Form:
    return {"type": "array", "items": items, **more}


def _fields(**properties: Form) -> Form:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _hash(digits: int) -> Form:
    return _text(pattern=f"^[0-9a-f]{{{digits}}}$")


SHARE = _number(0, 1)
TURNS = _list(_fields(role=_text(enum=["system", "user", "assistant"]), content=_text()), minItems=1)
IMAGE = {
    **_fields(bytes=_text(contentEncoding="base64"), path=_text()),
    "contentMediaType": "image/*",
}
"""As it lies in the Parquet file; `bytes` are raw there, and in base64 where a row is written as JSON."""

ANY_STEP = ("collect", "caption", "distill", "rewrite", "verify", "curate")

COLUMNS = (
    Column("image", IMAGE,
           "The original bytes of the image, and a file name; null where a row was dropped for its image, or "
           "images were left out", empty=ALL),
    Column("question", _text(), "The question as the source asks it"),
    Column("answer", _text(), "The right answer in its canonical form"),
    Column("answer_type", _text(enum=[*ANSWER_TYPES]),
           "Which check reads the answer: digit (a whole number), choice (a letter), math (an expression), iou "
           "(a box), open (free text)"),
    Column("step", _text(), "The step at which the row was dropped", ("rejected",), by=ANY_STEP),
    Column("code", _text(), "Why, as a short stable name", ("rejected",), by=ANY_STEP),
    Column("reason", _text(), "Why, as a sentence", ("rejected",), by=ANY_STEP),
    Column("evidence", _text(),
           "What shows it: the reply, the judge's words, the answer that was read", ("rejected",), empty=("rejected",), by=ANY_STEP),
    Column("reasoning", _text(),
           "The reasoning as rewritten: what is published; null in rows that were never reasoned about", empty=("rl", "rejected"), by=("distill", "rewrite")),
    Column("prompt", TURNS,
           "The system message, then the question with its options and the form of the answer", by=("collect", "curate")),
    Column("completion", TURNS,
           "The assistant's turn: <think>reasoning</think> and <answer>answer</answer>", ("sft",), by=("distill", "rewrite")),
    Column("choices", _list(_text()),
           "The options in order, without their letters; null without options", empty=ALL),
    Column("answers", _list(_text()), "Every accepted answer, where there is such a list", empty=ALL),
    Column("answer_share", SHARE,
           "The share of the source's annotators who gave the answer; null where the source does not tell", empty=ALL),
    Column("boxes", _list(_list(SHARE, minItems=4, maxItems=4)),
           "The right boxes: left, top, right, bottom as shares of the image's sides; null where no box is asked "
           "for", empty=ALL),
    Column("caption", _text(), "What the reasoner read in the image's place", empty=ALL, by=("caption",)),
    Column("caption_signals", _fields(words=_whole(0), refusal={"type": "boolean"}, repetition=SHARE),
           "The caption's words, whether it begins as a refusal does, and the share of its runs of five words "
           "that it says again", empty=ALL, by=("caption",)),
    Column("teacher_reasoning", _text(),
           "The reasoner's reasoning, as it came; not to be trained on", empty=ALL, by=("distill",)),
    Column("teacher_response", _text(),
           "The reasoner's reply without its reasoning, as it came; not to be trained on", empty=ALL, by=("distill",)),
    Column("found_by", _text(enum=[*get_args(How), "source"]),
           "Where in teacher_response the answer stood: tag (the only <answer> block) or, where there is none, boxed "
           "(the last box), label (the last line that begins as an answer does), phrase (the last sentence that says "
           "so); source, where it was adopted",
           empty=ALL, by=("distill",)),
    Column("teacher_pass_rate", SHARE,
           "The share of the reasoner's draws that are right; null where it was asked once", empty=ALL, by=("distill", "verify")),
    Column("policy_pass_rate", SHARE,
           "The share of the policy's draws that are right; null where it was not asked", empty=ALL, by=("measure",)),
    Column("score", SHARE,
           "The verdict on the answer: 1 is right, 0 is wrong; null where none was given", empty=ALL, by=("verify",)),
    Column("score_by", _text(enum=["rule", "judge"]), "Who gave the verdict", empty=ALL, by=("verify",)),
    Column("score_reason", _text(), "Why, in one sentence", empty=ALL, by=("verify",)),
    Column("judge_score", SHARE,
           "The judge's verdict, where a rule decided and the judge was asked all the same", empty=ALL, by=("verify",)),
    Column("cues", _list(_text()),
           "The cues of self-reflection in the reasoner's reply, in the order in which they first stand there; "
           "null without a reply", empty=ALL, by=("mark",)),
    Column("cue_starts", _list(_whole(0)),
           "Where each cue first stands: characters from the start of teacher_reasoning, which a line's end "
           "parts from teacher_response", empty=ALL, by=("mark",)),
    Column("word_gap", _whole(), "Words after the rewrite less words before it", empty=ALL, by=("rewrite",)),
    Column("word_edits", _whole(0), "Words that the rewrite took out or put in", empty=ALL, by=("rewrite",)),
    Column("why", _text(), "Why the row is in this config", KEPT, by=("curate",)),
    Column("id", _text(), "The row's name: source/source_id"),
    Column("source", _text(), "The source, as generators/1_collect.toml names it"),
    Column("source_id", _text(), "The source's own id, or a hash of image and question"),
    Column("source_license", _text(), "The source's licence"),
    Column("models", _fields(**dict.fromkeys(ALL_ROLES, _text())),
           "The model that played each role for this row; null where none was asked", by=()),
    Column("decided_by", _fields(**dict.fromkeys(DECIDED_BY, _hash(HASH_DIGITS))),
           "The first 16 hex digits of the SHA-256 of the files that decided about this row; null where a file "
           "had no say", by=()),
    Column("image_sha256", _hash(64),
           "The SHA-256 of the image's bytes; null without a sound image", empty=ALL),
)  # fmt: skip
"""In the order in which a viewer should show them."""

NULLABLE_FIELDS = ("models", "decided_by")
"""Columns whose fields may each be null."""


def of(config: str) -> tuple[Column, ...]:
    """Return the columns of a config."""
    return tuple(column for column in COLUMNS if config in column.configs)


def schema(config: str = "sft") -> dict[str, Json]:
    """Return the JSON Schema (draft 2020-12) of a row of a config: "sft", "rl" or "rejected".

    A row is what `datasets` gives with its image not decoded. JSON has no bytes: there, an image's are in base64.
    """
    from vlaa_thinking.errors import SetupError  # noqa: PLC0415 - keeps this list free of all else

    if config not in ALL:
        raise SetupError(f'there is no config "{config}": it is one of {", ".join(ALL)}')
    properties: dict[str, Json] = {column.name: _property(column, config) for column in of(config)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:vlaa-thinking:row:{config}",
        "title": f"A row of the config {config}",
        "description": "One question on one image, as vlaa-thinking publishes it.",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _property(column: Column, config: str) -> Json:
    form = column.form
    if column.name in NULLABLE_FIELDS:
        form = {**form, "properties": {name: _or_null(field) for name, field in form["properties"].items()}}
    return {"description": f"{column.about}.", **(_or_null(form) if config in column.empty else form)}


def _or_null(form: Form) -> Form:
    allowed: Form = {**form, "type": [form["type"], "null"]}
    return {**allowed, "enum": [*form["enum"], None]} if "enum" in form else allowed
