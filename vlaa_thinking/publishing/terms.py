"""What stands against passing a dataset on: licences that contradict each other, models whose terms nobody stated."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

UNNAMED = ("", "unknown")
OPEN_ENDED = (*UNNAMED, "other")
"""Licences of a whole dataset that leave each row under its source's own."""

UNSTATED = ("", "not stated", "unknown")

PROGRAMS = ("demo",)
"""APIs behind which no model is, so nobody's terms bind what comes out."""


def doubts(folder: Path, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Name what should be looked at before a dataset is passed on, a sentence each; an aid, and no legal advice."""
    used = {name: text for name, text in manifest.get("licenses", {}).items() if _has_rows(manifest, name)}
    return (*_conflicts(used, _own_license(folder)), *_unstated(manifest.get("models", {})))


def _has_rows(manifest: Mapping[str, Any], source: str) -> bool:
    counts: Mapping[str, int] | None = manifest.get("sources", {}).get(source)
    return counts is None or any(counts.values())


def _own_license(folder: Path) -> str:
    """Read the licence of the whole from the card's front matter; "" where it states none, or several."""
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8") if card.exists() else ""
    front = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    found = re.search(r"^license:[ ]*([^\s\[]+)[ ]*$", front[1] if front else "", re.MULTILINE)
    return found[1] if found else ""


def _conflicts(licenses: Mapping[str, str], whole: str) -> Iterator[str]:
    plain = {name: text.strip().lower() for name, text in licenses.items()}
    mine = whole.strip().lower()
    for name, text in plain.items():
        if text in UNNAMED:
            yield f"The licence of source {name} is not known: nobody has said that its rows may be passed on."
        elif "-nd" in text:
            yield f"Source {name} is under {licenses[name]}, which forbids passing on what was made from it."
        elif mine in OPEN_ENDED or mine == text:
            continue
        elif "-nc" in text and "-nc" not in mine:
            yield f"Source {name} is under {licenses[name]}, which forbids commercial use; the dataset's {whole} allows it."
        elif _hereditary(text):
            yield f"Source {name} is under {licenses[name]}, which must be kept for what is made from it; the dataset is under {whole}."
    bound = {text: name for name, text in plain.items() if _hereditary(text)}
    if len(bound) > 1:
        told = " and ".join(f"{licenses[name]} ({name})" for name in bound.values())
        yield f"{told} each ask to be kept for what is made from it: no one licence can hold for all rows."


def _hereditary(text: str) -> bool:
    """Whether what is made from a work must stand under the work's own licence."""
    return "-sa" in text or text.startswith(("gpl", "agpl", "odbl"))


def _unstated(models: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    roles: dict[str, list[str]] = {}
    for role, model in models.items():
        if model.get("api") not in PROGRAMS and not _stated(model.get("terms")):
            roles.setdefault(str(model.get("model") or model.get("name")), []).append(role)
    for name, played in roles.items():
        yield (
            f"The terms that bind the outputs of {name} ({', '.join(played)}) are not stated: see them, and set "
            "`terms` of the model in generators/models.toml."
        )


def _stated(terms: object) -> bool:
    if isinstance(terms, str):
        return terms.strip().lower() not in UNSTATED
    if isinstance(terms, dict):
        return any(_stated(value) for value in terms.values())
    return bool(terms)
