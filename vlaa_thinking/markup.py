"""The room in which a card's template is rendered: what is data there never becomes Markdown, HTML or LaTeX."""

from __future__ import annotations

import re
import shlex
from functools import lru_cache
from typing import TYPE_CHECKING

from vlaa_thinking.errors import ProjectError
from vlaa_thinking.front_matter import PLACEHOLDER

if TYPE_CHECKING:
    from jinja2 import Template

_UNSEEN = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Controls: some hide text, some turn its direction."""

_BREAKS = re.compile(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*")

_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


@lru_cache(maxsize=4)  # a build reads it before it pays for anything, and again for its card
def read_template(source: str, file: str) -> Template:
    """Read a card's template; raises `ProjectError` where it is not one.

    Every value is escaped. The filter `code` writes it as a code span, `fenced` as a block of its own, `bibtex` as
    BibTeX, `shell` as a word of a command, `e` as HTML; `safe` leaves it as it is.
    """
    from jinja2 import StrictUndefined, TemplateSyntaxError  # noqa: PLC0415 - heavy
    from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415

    if found := PLACEHOLDER.search(source):
        line = source.count("\n", 0, found.start()) + 1
        raise ProjectError(f'was never filled in: it says "{found[0]}"', file=file, line=line)
    room = SandboxedEnvironment(
        undefined=StrictUndefined,
        finalize=escaped,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    room.filters |= {"code": code, "fenced": fenced, "bibtex": bibtex, "shell": shell}
    try:
        return room.from_string(source)
    except TemplateSyntaxError as exc:
        raise ProjectError(f"cannot be rendered: {exc}", file=file, line=exc.lineno) from exc


def escaped(value: object) -> object:
    """Keep data from being read as Markdown or HTML: a source's name may hold anything.

    What a template marks as `|safe` is left alone.
    """
    from markupsafe import Markup  # noqa: PLC0415 - comes with jinja2

    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    text = re.sub(r"([\\`*_~\[\]<>|#$&@])", r"\\\1", _on_one_line(value))
    text = re.sub(
        r"(?i)\b(www)\.", r"\1\\.", text.replace("://", "\\://")
    )  # else they are links by themselves
    text = re.sub(r"^([-+=])(?=.)", r"\\\1", text)
    return re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", text)


def code(value: object) -> object:
    """Write data as a code span, if it can stand in one, also in a table."""
    from markupsafe import Markup  # noqa: PLC0415 - comes with jinja2

    text = _on_one_line(str(value)).strip()
    return Markup(f"`{text}`") if text and not set("`|\\") & set(text) else value  # noqa: S704 - Markdown


def fenced(value: object) -> object:
    """Write data as a block that shows it line by line, whatever it holds."""
    from markupsafe import Markup  # noqa: PLC0415 - comes with jinja2

    text = _UNSEEN.sub("", "\n".join(str(value).splitlines()))
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markup(f"{fence}text\n{text}\n{fence}")  # noqa: S704 - Markdown


def bibtex(value: object) -> object:
    """Write data as the value of a BibTeX field, on one line."""
    from markupsafe import Markup  # noqa: PLC0415 - comes with jinja2

    text = "".join(
        _TEX.get(letter) or (f"\\{letter}" if letter in "{}%#&_$" else letter)
        for letter in _on_one_line(str(value))
    )
    return Markup(text)  # noqa: S704 - it stands in a fenced block, on one line


def shell(value: object) -> object:
    """Write data as one word of a command, on one line."""
    from markupsafe import Markup  # noqa: PLC0415 - comes with jinja2

    return Markup(shlex.quote(_on_one_line(str(value))))  # noqa: S704 - it stands in a fenced block, on one line


def _on_one_line(text: str) -> str:
    return _UNSEEN.sub("", _BREAKS.sub(" ", text))
