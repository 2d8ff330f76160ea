"""The released files: JSON Lines under a .json name, or a JSON array, read row by row in bounded memory."""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from vlaa_thinking.errors import SetupError
from vlaa_thinking.places import hash_file
from vlaa_thinking.sources.objects import objects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_ROW = 8_000_000
"""Bytes of the longest line that is read; the released ones have a few thousand."""

_LONE = re.compile(r'(?P<sound>\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))|\\')
"""A backslash and what makes it a sound escape of JSON; \\left and \\underline are none."""

A_FEW = 20
"""Rows by which a file is known."""

Config = Literal["sft", "rl"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleasedFile:
    """One file of rows."""

    path: Path
    form: Literal["lines", "array"]
    """Whatever its suffix says."""
    config: Config
    """The split that the authors meant it for."""

    @property
    def sha256(self) -> str:
        """Its hash, in hex."""
        return hash_file(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row of a file as it stands there."""

    number: int
    """From 1: the line's, or the element's in an array."""
    row: dict[str, Any] | None
    """None: it cannot be read."""
    damaged: bool = False
    """Whether backslashes had to be doubled before it could be read."""
    fault: str = ""
    """Why it cannot be read."""
    text: str = ""
    """The beginning of what cannot be read."""


def find(folder: Path) -> list[ReleasedFile]:
    """Find the files of rows in a folder, by name; raises `SetupError` where there is none.

    A file counts if the first of its first rows that can be read has a question and an image. One with "GRPO" in its name, or
    with a `verifier_type` in that row, is for RL, any other for SFT.
    """
    if not folder.is_dir():
        raise SetupError(f"there is no folder {folder}: name the one that holds the released .json files")
    found = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in (".json", ".jsonl") or not path.is_file():
            continue
        form = _form(path)
        first = _first(path, form) if form else {}
        if form and {"question", "image"} <= first.keys():
            rl = "grpo" in path.name.lower() or "verifier_type" in first
            found.append(ReleasedFile(path=path, form=form, config="rl" if rl else "sft"))
    if not found:
        raise SetupError(
            f"{folder} holds no released rows: VLAA-Thinking-SFT-126K.json and VLAA-Thinking-GRPO-25K.json are "
            "looked for, or any .json file of rows with `image` and `question`"
        )
    return found


def read(path: Path, form: Literal["lines", "array"]) -> Iterator[Line]:
    """Give the rows of a file. A broken line is a `Line` with a fault; a broken array raises `SetupError`."""
    return _lines(path) if form == "lines" else _array(path)


def _first(path: Path, form: Literal["lines", "array"]) -> dict[str, Any]:
    """Return the first row that can be read, of the first few; {} for a file that is none of rows."""
    try:
        return next((line.row for line in islice(read(path, form), A_FEW) if line.row is not None), {})
    except SetupError:
        return {}


def _form(path: Path) -> Literal["lines", "array"] | None:
    """Tell the form by the first character that counts; None for what is neither."""
    with path.open("rb") as file:
        start = file.read(4096).removeprefix(codecs.BOM_UTF8).lstrip()
    return {b"{": "lines", b"[": "array"}.get(start[:1])  # type: ignore[return-value]  # its two values


def _doubled(found: re.Match[str]) -> str:
    """Leave a sound escape alone, and double the backslash of any other."""
    return found[0] if found["sound"] else f"\\{found[0]}"


def _lines(path: Path) -> Iterator[Line]:
    number = 0
    with path.open("rb") as file:
        while raw := file.readline(MAX_ROW + 1):
            number += 1
            if len(raw) > MAX_ROW and not raw.endswith(b"\n"):
                while (rest := file.readline(MAX_ROW)) and not rest.endswith(b"\n"):
                    pass
                fault = f"the line has more than {MAX_ROW:,} bytes"
                yield Line(number=number, row=None, fault=fault, text=raw[:500].decode(errors="replace"))
            elif raw.strip():
                yield _line(raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw, number)


def _line(raw: bytes, number: int) -> Line:
    try:
        text = raw.decode().strip()
        try:
            row, damaged = json.loads(text, strict=False), False
        except json.JSONDecodeError as exc:
            if "escape" not in exc.msg:
                raise
            row, damaged = json.loads(_LONE.sub(_doubled, text), strict=False), True
    except UnicodeDecodeError:
        fault = "the line is not in UTF-8"
    except (ValueError, RecursionError) as exc:
        fault = f"the line is no JSON: {exc}"
    else:
        if isinstance(row, dict):
            return Line(number=number, row=row, damaged=damaged)
        fault = f"the line is no JSON object, but a {type(row).__name__}"
    return Line(number=number, row=None, fault=fault, text=raw[:500].decode(errors="replace"))


def _array(path: Path) -> Iterator[Line]:
    """Read an array; what follows a broken element cannot be told apart, so that raises."""
    for number, row in enumerate(objects(lambda: path.open("rb"), str(path)), 1):
        yield Line(number=number, row=dict(row))
