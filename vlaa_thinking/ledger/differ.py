"""How two JSON values differ, field by field."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = 80
"""Characters from which on a text is compared line by line."""

MOST_LINES = 20
"""Lines of such a comparison that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field in which two calls differ."""

    path: str
    """Where it stands: messages[1].text, params.temperature ..."""
    a: str | None
    b: str | None
    """The values as JSON; None where there is no such field."""
    diff: tuple[str, ...] = ()
    """Of two long texts: the lines that differ, as `diff -u` writes them."""


def differences(a: Any, b: Any, path: str = "") -> Iterator[Difference]:  # noqa: ANN401 - any JSON
    """Find the fields in which two values differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(a.keys() | b.keys()):
            yield from _field(a, b, key, f"{path}.{key}" if path else key)
    elif isinstance(a, list) and isinstance(b, list):
        one, other = dict(enumerate(a)), dict(enumerate(b))
        for index in range(max(len(a), len(b))):
            yield from _field(one, other, index, f"{path}[{index}]")
    elif _text(a) != _text(b):
        yield Difference(path=path, a=_text(a), b=_text(b), diff=_diff(a, b))


def _field(a: dict[Any, Any], b: dict[Any, Any], key: str | int, path: str) -> Iterator[Difference]:
    if key in a and key in b:
        yield from differences(a[key], b[key], path)
    else:
        one, other = (_text(side[key]) if key in side else None for side in (a, b))
        yield Difference(path=path, a=one, b=other)


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _diff(a: Any, b: Any) -> tuple[str, ...]:  # noqa: ANN401 - any JSON
    if not (isinstance(a, str) and isinstance(b, str)) or max(len(a), len(b)) < LONG:
        return ()
    lines = list(difflib.unified_diff(_sentences(a), _sentences(b), "A", "B", n=1, lineterm=""))
    if len(lines) > MOST_LINES:
        lines[MOST_LINES:] = [f"... {len(lines) - MOST_LINES} more lines"]
    return tuple(lines)


def _sentences(text: str) -> list[str]:
    """Break a text into lines, and long lines at the ends of their sentences, so that what moved is little."""
    return [part for line in text.splitlines() for part in re.split(r"(?<=[.!?]) +", line)]
