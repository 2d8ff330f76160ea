"""Rows in LLaVA's form: a list of turns, the human's with an `<image>` mark and often an instruction around the question."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MARK = re.compile(r"<image>\n?|\n?<image>")
_ASKED = re.compile(r"^\s*Question\s*:\s*", re.MULTILINE | re.IGNORECASE)


def turns(cells: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give the pairs of question and answer; the first question is without its image mark."""
    asked = None
    for turn in cells.get("conversations") or ():
        if not isinstance(turn, dict):
            continue
        text = str(turn.get("value") or "")
        if turn.get("from") in ("human", "user"):
            asked = _MARK.sub("", text).strip()
        elif asked is not None:
            yield asked, text.strip()
            asked = None


def first_turn(cells: Mapping[str, Any]) -> tuple[str, str]:
    """Return the first pair of question and answer; both are empty where there is none."""
    return next(turns(cells), ("", ""))


def bare(question: str) -> str:
    """Take away an instruction that ends in a line "Question: ...", as MathV360K and G-LLaVA put it."""
    marked = _ASKED.search(question)
    return question[marked.end() :].strip() if marked else question.strip()


def tagged(name: str, *texts: str) -> str:
    """Make an id that is unique where a set's own ids are not: its name, and a hash of what tells the rows apart."""
    digest = hashlib.sha256("\n".join(texts).encode(errors="replace")).hexdigest()[:8]
    return f"{name}-{digest}"


def stem(name: str) -> str:
    """Return a name's last two components without its suffix: "geoqa_plus-2905" for "images/geoqa_plus/2905.png"."""
    path = PurePosixPath(name.replace("\\", "/").strip("/"))
    return "-".join((*path.parts[-2:-1], path.stem))
