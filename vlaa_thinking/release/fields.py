"""The fields of a released row: each read in one way, its damage put right, its oddities noted."""

from __future__ import annotations

import hashlib
import re
import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlaa_thinking.checks.answer import Found, read_answer
from vlaa_thinking.release.gold import VERIFIERS
from vlaa_thinking.release.meta import read_meta
from vlaa_thinking.release.origins import UNKNOWN, Origin, image_path, origin_of
from vlaa_thinking.sources.text import eaten_escapes, repaired

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vlaa_thinking.record import AnswerType
    from vlaa_thinking.release.files import Config

_THOUGHT = re.compile(r"\s*<think>(.*)</think>(.*)", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"</?(?:think|answer)>", re.IGNORECASE)
_SUFFIX = re.compile(r"\.(?:png|jpe?g|webp|gif|bmp|tiff?)$", re.IGNORECASE)
_ORDINAL = re.compile(r"[A-Za-z_]+-\d{1,7}")
_OR = re.compile(r"\s*\u6216\s*")
_DENOTE = re.compile(r"\bdenot(?:e|es|ed|ing)\b[^.?]{1,100}?\bas\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What tells one row from another."""

    own_id: str
    """As the row has it; "" without one."""
    identity: str
    """A hash of image path and question: 16 hex digits."""
    image: str | None
    """Below images/; None for a path that leaves it, or none at all."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply with its reasoning apart."""

    reasoning: str
    """"" unless it stands in one pair of <think> tags."""
    response: str
    answer: str
    """What the response gives as its answer; "" for none."""
    tagged: bool
    """Whether it stands in the one <answer> block."""


class Fields:
    """One row's fields, and the defects that were met while they were read."""

    def __init__(self, row: Mapping[str, Any], config: Config, *, damaged: bool) -> None:
        """Take a row as it stands in its file; `damaged`: its line had to be mended before it could be read."""
        self.defects: dict[str, None] = {}
        self.is_february = "answer" not in row and "ds_answer" in row
        self.gt = row.get("gt")
        self.has_gt = plain_text(self.gt).strip() != ""
        self.config = config
        self._row = row
        self._meta, defect = read_meta(row.get("meta"))
        met = {"damaged_escapes": damaged, defect: bool(defect), "february_schema": self.is_february}
        self.note(*(code for code, found in met.items() if found))

    def note(self, *codes: str) -> None:
        """Take down defects, each once."""
        self.defects |= dict.fromkeys(codes)

    def text(self, name: str) -> str:
        """Return a field's text, or that of `meta`'s field of this name, with its damage put right; "" without."""
        value = self._row.get(name)
        return self.mended(plain_text(self._meta.get(name) if value is None else value)).strip()

    def mended(self, text: str) -> str:
        """Return a text with its damage put right, and note that it had some."""
        if eaten_escapes(text):
            self.note("damaged_escapes")
        return repaired(text)

    def origin(self, head: Head) -> Origin:
        """Tell the row's source, and note what is odd about its id and its image's path."""
        if not head.own_id:
            self.note("no_id")
        elif _SUFFIX.search(head.own_id):
            self.note("extension_in_id")
        elif _ORDINAL.fullmatch(head.own_id):
            self.note("ordinal_id")
        image = plain_text(self._row.get("image")).strip()
        if image.startswith("/"):
            self.note("leading_slash")
        if head.image is None and image:
            self.note("outside_path")
        origin = origin_of(head.image)
        if head.image and not origin.declared:
            self.note("unknown_source" if origin is UNKNOWN else "undeclared_source")
        return origin

    def question(self) -> str:
        """Return the question, in English."""
        text = self.text("question")
        if _DENOTE.search(text):
            self.note("denote_clause")
        if _OR.search(text):
            self.note("chinese_or")
        return _OR.sub(" or ", text)

    def kind(self, origin: Origin) -> AnswerType | None:
        """Tell the answer type: the row's own word, else its source's; None where the answer must tell it."""
        said = self.text("verifier_type").lower()
        kind = VERIFIERS.get(said)
        if kind is None and (said or self.config == "rl"):
            self.note("verifier_unknown")
        return kind or origin.answer_type

    def teacher(self) -> Reply:
        """Return the reasoner's reply as it came."""
        return split(self.text("ds_answer"))

    def reply(self) -> Reply:
        """Return the reply as the authors rewrote it."""
        text = self.text("answer")
        reply = split(text)
        if text and not reply.tagged:
            self.note("no_answer_tags")
        elif reply.tagged and f">{reply.answer}<" not in reply.response:
            self.note("answer_spaces")
        return reply


def head_of(row: Mapping[str, Any]) -> Head:
    """Read what tells a row from others."""
    image, question = repaired(plain_text(row.get("image"))), plain_text(row.get("question"))
    path = image_path(image)
    digest = hashlib.sha256(f"{path or image}\n{question}".encode(errors="replace"))
    own_id = repaired(plain_text(row.get("id"))).strip()
    return Head(own_id=own_id, identity=digest.hexdigest()[:16], image=path)


def split(text: str) -> Reply:
    """Part a reply into reasoning, response and the answer that the response gives."""
    found = _THOUGHT.fullmatch(text)
    reasoning, response = (found[1].strip(), found[2].strip()) if found else ("", text)
    if _TAG.search(reasoning):
        reasoning = ""
    read = read_answer(response)
    if not isinstance(read, Found):
        return Reply(reasoning, response, response, tagged=False)
    return Reply(reasoning, response, read.text, tagged=read.how == "tag")


def plain_text(value: object) -> str:
    """Return a cell's text; "" for nothing, and no more than a glimpse of what is no text at all."""
    return value if isinstance(value, str) else "" if value is None else reprlib.repr(value)
