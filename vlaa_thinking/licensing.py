"""What the licences of a dataset's sources ask for together: the strictest of them, and where they do not fit.

This reads names, not texts: it finds what is plainly there, and is no legal advice.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

ASKS = ("attribution", "share-alike", "non-commercial use", "no derivatives")
"""What a licence may ask for, the mildest first."""

UNSTATED = ("", "unknown", "not stated", "none")

_FREE = frozenset({"cc0-1.0", "cc0", "pddl", "unlicense", "wtfpl", "0bsd", "public domain"})
_CREATIVE_COMMONS = re.compile(r"cc-(by(?:-(?:nc|sa|nd))*)(?:-\d.*)?")
_MILD = re.compile(
    r"(?:apache|mit|isc|bsd|zlib|ncsa|afl|ecl|bsl|ms-pl|postgresql|odc-by|etalab|c-uda|cdla-permissive|ofl|artistic)\b.*"
)
_SHARING = re.compile(r"(?:gpl|lgpl|agpl|gfdl|odbl|mpl|epl|eupl|osl|cdla-sharing|lppl)\b.*")


def asks(name: str) -> tuple[str, ...] | None:
    """Say what a licence asks for, one of `ASKS` each, by its name; None: not known, or not stated."""
    known = name.strip().lower()
    if known in _FREE:
        return ()
    if found := _CREATIVE_COMMONS.fullmatch(known):
        parts = {"by": ASKS[0], "sa": ASKS[1], "nc": ASKS[2], "nd": ASKS[3]}
        wanted = {parts[part] for part in found[1].split("-")}
        return tuple(ask for ask in ASKS if ask in wanted)
    if _MILD.fullmatch(known):
        return (ASKS[0],)
    return (ASKS[0], ASKS[1]) if _SHARING.fullmatch(known) else None


def licensing(licenses: Mapping[str, str], declared: str) -> dict[str, Any]:
    """Hold the licences of sources, by name, against each other and against that of the whole.

    Returns, for the manifest: "strictest" (the stated licence that asks for most, and for what; None without one),
    "unstated" and "unread" (sources without a licence, and with one that is not known here), and "conflicts", a
    sentence each.
    """
    stated = {source: name for source, name in licenses.items() if name.strip().lower() not in UNSTATED}
    known = {name: wanted for name in stated.values() if (wanted := asks(name)) is not None}
    strictest = max(known, key=lambda name: _rank(known[name]), default=None)
    return {
        "strictest": {"license": strictest, "asks": list(known[strictest])} if strictest else None,
        "unstated": [source for source in licenses if source not in stated],
        "unread": [source for source, name in stated.items() if name not in known],
        "conflicts": [*_against_whole(stated, known, declared), *_against_each_other(stated, known)],
    }


def _rank(wanted: tuple[str, ...]) -> tuple[bool, ...]:
    return tuple(ask in wanted for ask in reversed(ASKS))


def _against_whole(
    stated: Mapping[str, str], known: Mapping[str, tuple[str, ...]], declared: str
) -> list[str]:
    """Name the sources that ask for what the licence of the whole does not."""
    promised = asks(declared)
    if promised is None:  # "other": each row stands under its own
        return []
    told = []
    for name, wanted in known.items():
        missing = [ask for ask in wanted if ask not in promised]
        if missing:
            told.append(
                f"The dataset is declared {declared}, and {name} ({_sources(stated, name)}) asks for "
                f"{' and '.join(missing)}."
            )
    return told


def _against_each_other(stated: Mapping[str, str], known: Mapping[str, tuple[str, ...]]) -> list[str]:
    told = []
    sharing = [name for name, wanted in known.items() if ASKS[1] in wanted]
    if len(sharing) > 1:
        named = ", ".join(f"{name} ({_sources(stated, name)})" for name in sharing)
        told.append(
            f"Each of these asks that what is made of its rows stand under itself, so that one work of rows of "
            f"several may fit none: {named}."
        )
    told += [
        f"{name} ({_sources(stated, name)}) allows no derivatives, and every row here is made from one of its own."
        for name, wanted in known.items()
        if ASKS[3] in wanted
    ]
    return told


def _sources(stated: Mapping[str, str], name: str) -> str:
    return ", ".join(source for source, of in stated.items() if of == name)
