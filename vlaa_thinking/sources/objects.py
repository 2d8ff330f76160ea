"""Files of JSON objects, read one object at a time however long the file is."""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any, BinaryIO

from vlaa_thinking.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

CHUNK = 1 << 18
"""Characters that are read at a time."""

LONGEST = 1 << 26
"""An object of more characters is taken for damage."""


def objects(opened: Callable[[], BinaryIO], words: str, *, key: str = "") -> Iterator[Mapping[str, Any]]:
    """Give the objects of a file: one to a line, or those of one array, or of the array under `key` in one object.

    It is `opened` when the first is asked for; `words` is what errors call it. Raises `SetupError`, naming the
    place, where it cannot be read.
    """
    try:
        with io.TextIOWrapper(opened(), encoding="utf-8-sig", newline="\n") as text:
            start = text.read(CHUNK)
            under = re.search(rf'"{re.escape(key)}"\s*:\s*\[', start) if key else None
            if start.lstrip().startswith("["):
                yield from _array(text, start.lstrip()[1:], words)
            elif under:
                yield from _array(text, start[under.end() :], words)
            else:
                yield from _lines(text, start, words)
    except UnicodeDecodeError as exc:
        raise SetupError(f"{words} is not in UTF-8: {exc.reason}") from exc


def _array(text: io.TextIOWrapper, buffer: str, words: str) -> Iterator[Mapping[str, Any]]:
    """Give the objects of an array whose bracket is read already."""
    decoder, count = json.JSONDecoder(), 0
    at = 0
    while True:
        at = _skip(buffer, at)
        if at < len(buffer) and buffer[at] == "]":
            return
        try:
            value, end = decoder.raw_decode(buffer, at)
        except (json.JSONDecodeError, RecursionError) as exc:
            more = "" if len(buffer) - at > LONGEST else text.read(CHUNK)
            if not more:
                what = exc.msg if isinstance(exc, json.JSONDecodeError) else str(exc)
                raise SetupError(f"{words} cannot be read after object {count}: {what}") from exc
            buffer, at = buffer[at:] + more, 0
            continue
        if end == len(buffer) and (more := text.read(CHUNK)):  # a number may go on
            buffer, at = buffer[at:] + more, 0
            continue
        count += 1
        yield _object(value, f"{words}, object {count},")
        at = end


def _skip(buffer: str, at: int) -> int:
    """Go past blanks and commas."""
    while at < len(buffer) and buffer[at] in " \t\r\n,":
        at += 1
    return at


def _lines(text: io.TextIOWrapper, start: str, words: str) -> Iterator[Mapping[str, Any]]:
    """Give the objects of a file that has one on each line."""
    number, rest = 0, start
    while rest:
        *lines, rest = rest.split("\n")
        for line in lines:
            number += 1
            if line.strip():
                yield _line(line, number, words)
        more = text.read(CHUNK)
        if not more:
            break
        rest += more
        if len(rest) > LONGEST and "\n" not in rest:
            raise SetupError(f"{words}, line {number + 1}, is longer than {LONGEST:,} characters")
    if rest.strip():
        yield _line(rest, number + 1, words)


def _line(line: str, number: int, words: str) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise SetupError(f"{words}, line {number}, is not a JSON object: {exc}") from exc
    return _object(value, f"{words}, line {number},")


def _object(value: Any, where: str) -> Mapping[str, Any]:  # noqa: ANN401 - any JSON
    if not isinstance(value, dict):
        raise SetupError(f"{where} is not a JSON object but a {type(value).__name__}")
    return value
