"""A dataset's CHANGELOG.md, as a build begins it; `diff` writes the later entries, `publish` names the versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vlaa_thinking.markup import code, escaped

if TYPE_CHECKING:
    from collections.abc import Mapping

CHANGELOG = "CHANGELOG.md"

HEAD = """\
# Changelog

What changed from one version of this dataset to the next. A version is a tag: `load_dataset(NAME, revision="v1.0.0")` \
loads it, and no other. The first number rises where a program that reads the rows must be changed, the second where \
rows changed, the third for all else.
"""

UNRELEASED = "## Unreleased"
"""The heading of what has no version yet."""


def changelog(manifest: Mapping[str, Any]) -> str:
    """Write the whole file for a dataset that has no version yet."""
    return f"{HEAD}\n{UNRELEASED}\n\n{first_entry(manifest)}"


def first_entry(manifest: Mapping[str, Any]) -> str:
    """Write the entry of the first version, without its heading: what it is, in the form of `Diff.changelog`."""
    splits = [
        (f"{config}/{part}", split["rows"])
        for config, parts in manifest["splits"].items()
        for part, split in parts.items()
    ]
    lines = [_counted("row", sum(rows for _, rows in splits), [f"{name} {rows:,}" for name, rows in splits])]
    names = [str(escaped(code(name))) for name in manifest["sources"]]
    lines.append(_counted("source", len(names), names))
    for role, model in manifest.get("models", {}).items():
        lines.append(f"The {role} is {escaped(code(model['model'] or model['name']))}.")
    told = "".join(f"- {line}\n" for line in lines)
    return f"The first version.\n\n### Added\n\n{told}"


def _counted(what: str, count: int, named: list[str]) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}: {', '.join(named)}."
