r"""Text as it was meant: control characters out, and LaTeX commands that an unescaping ate put back.

A writer that puts `\frac` into JSON (or into a Python literal) without doubling the backslash gets a form feed and
"rac" when it is read; the authors' release holds such rows, and many question sets do.
"""

from __future__ import annotations

import re

_COMMANDS = {
    "\a": "alpha angle approx arccos arcsin arctan arg ast",
    "\b": "backslash bar because begin beta bf big bigg binom bigcap bigcup bmod boldsymbol bot boxed bullet",
    "\f": "fbox flat forall frac",
    "\v": "varepsilon varnothing varphi vartheta vdots vec vee vert",
    "\t": "tau text textbf textit textrm tfrac theta therefore tilde times triangle triangleq",
    "\n": "nabla ne neg neq notin",
    "\r": "rangle rceil rfloor rho right rightarrow rightleftharpoons rvert",
}
"""By the character that `\\` and a command's first letter are read as: the commands that begin with it."""

_AMBIGUOUS = {"ext": r"(?=\{)", "au": r"(?=\W)", "ilde": r"(?=\W)", "eg": r"(?=\W)", "e": r"(?= *[\d\\-])"}
_WORDS = {"angle", "ast", "ar", "because", "big"}
"""Tails that are words themselves and follow a line's end or a tab in plain text: not repaired there."""

_SPACES = "\t\n\r"


def _tails() -> str:
    """Write the pattern of one eaten escape: the character, then the rest of a command and no further letter."""
    found = []
    for eaten, commands in _COMMANDS.items():
        plain = eaten in _SPACES
        tails = [c[1:] for c in commands.split() if not (plain and c[1:] in _WORDS)]
        ends = [tail + (_AMBIGUOUS.get(tail, "") if plain else "") for tail in sorted(tails, key=len)[::-1]]
        found.append(f"{re.escape(eaten)}(?=(?:{'|'.join(ends)})(?![A-Za-z]))")
    return "|".join(found)


_EATEN = re.compile(_tails())
_LETTER = {"\a": "a", "\b": "b", "\f": "f", "\v": "v", "\t": "t", "\n": "n", "\r": "r"}
_LINE_END = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff]")


def repaired(text: str) -> str:
    """Return `text` with eaten escapes put back, line ends as newlines, and no other control characters.

    Form feed, backspace, bell and vertical tab before the rest of a LaTeX command are that command; tab, newline and
    carriage return are so only where what follows is no word of its own. Half a surrogate pair becomes "?".
    """
    text = _EATEN.sub(lambda eaten: "\\" + _LETTER[eaten[0]], text)
    text = _LINE_END.sub("\n", text)
    return _CONTROL.sub("", text).encode(errors="replace").decode()


def eaten_escapes(text: str) -> int:
    """Count the LaTeX commands of `text` whose first letter an unescaping ate."""
    return sum(1 for _ in _EATEN.finditer(text))
