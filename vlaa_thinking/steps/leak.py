"""Talk that gives away that a description was read and no image seen: verifiers/leaks.toml."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vlaa_thinking.settings import LeakRule


def leak_in(text: str, rule: LeakRule) -> str | None:
    """Return the first leak in `text`, as it stands there: in any case, a star in a phrase for any ending.

    A phrase that stands within one of its language's `unless` is no leak.
    """
    # Most texts hold none of the phrases, and a search for plain text is many times as fast as a pattern.
    folded = " ".join(text.lower().replace("\u2019", "'").split())
    for leaks in rule.language.values():
        phrases = _held(leaks.phrases, folded)
        if not phrases:
            continue
        unless = _held(leaks.unless, folded)
        meant = [m.span() for m in _pattern(unless, leaks.match).finditer(text)] if unless else []
        for hit in _pattern(phrases, leaks.match).finditer(text):
            if not any(start <= hit.start() and hit.end() <= end for start, end in meant):
                return hit[0]
    return None


def _held(phrases: tuple[str, ...], folded: str) -> tuple[str, ...]:
    """Leave out the phrases that a text cannot hold."""
    return tuple([phrase for stem, phrase in _stems(phrases) if stem in folded])


@lru_cache(maxsize=32)
def _stems(phrases: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Pair each phrase with what a text must hold, in lower case and with single spaces, to hold it."""
    return tuple((" ".join(phrase.lower().partition("*")[0].split()), phrase) for phrase in phrases)


@lru_cache(maxsize=256)
def _pattern(phrases: tuple[str, ...], match: str) -> re.Pattern[str]:
    """Match any of `phrases`, the longest first; with `match` "word", as whole words."""
    written = "|".join(_written(phrase, match) for phrase in sorted(phrases, key=len, reverse=True))
    return re.compile(written or r"(?!)", re.IGNORECASE)


def _written(phrase: str, match: str) -> str:
    text = re.escape(phrase).replace(r"\*", r"\w*").replace(r"\ ", r"\s+").replace("'", "['\u2019]")
    if match == "substring":
        return text
    ends_in_a_word = phrase[-1:].isalnum() or phrase.endswith("*")
    return (r"(?<!\w)" if phrase[:1].isalnum() else "") + text + (r"(?!\w)" if ends_in_a_word else "")
