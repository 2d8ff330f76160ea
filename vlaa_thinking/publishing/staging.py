"""The folder as it goes to the Hub: data files as they are, card and changelog with version and date, a manifest anew."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from vlaa_thinking.auditing import ALONGSIDE
from vlaa_thinking.changes import CHANGELOG, HEAD
from vlaa_thinking.dataset import write_manifest
from vlaa_thinking.edition import RELEASE, as_built
from vlaa_thinking.errors import OutputError
from vlaa_thinking.places import MANIFEST, hash_file

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from vlaa_thinking.edition import Edition
    from vlaa_thinking.versions import Version

CARD, CROISSANT = "README.md", "croissant.json"
WRITTEN = (CARD, CHANGELOG, CROISSANT)
"""The files that publishing changes."""

_BEGIN, _END = "<!-- version: written by vlaa-thinking publish -->", "<!-- /version -->"
_BLOCK = re.compile(rf"{re.escape(_BEGIN)}.*?{re.escape(_END)}\n*", re.DOTALL)


def stage(
    edition: Edition, into: Path, *, name: str, version: Version, date: dt.date, changelog: str
) -> None:
    """Lay the dataset out in the empty folder `into`; its own folder is left as it is.

    Data files are links to the originals. Raises `OutputError` where a file is not as the manifest has it.
    """
    built = as_built(edition.manifest)["files"]
    _refuse_strange(edition)
    for file in edition.manifest["files"]:
        (into / file).parent.mkdir(parents=True, exist_ok=True)
        (into / file).symlink_to((edition.folder / file).resolve())
    config = next(iter(edition.manifest["splits"]))
    told = _told(name, version, date, config)
    card = edition.folder / CARD
    _write(into / CARD, _with_version(card.read_text(encoding="utf-8") if card.exists() else "", told))
    _write(into / CHANGELOG, changelog)
    if CROISSANT in edition.manifest["files"]:
        _write(into / CROISSANT, _dated(edition.folder / CROISSANT, version, date))
    release = {
        "version": str(version),
        "date": date.isoformat(),
        "built": {file: built.get(file) for file in WRITTEN if (into / file).exists()},
    }
    write_manifest(into, {**edition.manifest, RELEASE: release})
    _refuse_changed(edition, json.loads((into / MANIFEST).read_text(encoding="utf-8"))["files"])


def entry_added(text: str | None, version: Version, date: dt.date, entry: str) -> str:
    """Put a version's entry on top of a changelog, or begin one."""
    heading, mark, older = (text or HEAD).partition("\n## ")
    below = f"\n## {older}" if mark else ""
    return f"{heading.rstrip()}\n\n## [{version}] - {date.isoformat()}\n\n{entry.strip()}\n{below}"


def _told(name: str, version: Version, date: dt.date, config: str) -> str:
    """Say in the card which version it is, and how to load it."""
    return f"""\
{_BEGIN}
Version {version}, published on {date.isoformat()}; [CHANGELOG.md](CHANGELOG.md) says what changed. To load this version, now and later:

```python
from datasets import load_dataset

rows = load_dataset("{name}", "{config}", revision="{version.tag}")
```
{_END}

"""


def _with_version(card: str, told: str) -> str:
    """Put the version before the card's first section, in place of an earlier one."""
    above, mark, below = _BLOCK.sub("", card).partition("\n## ")
    return f"{above.rstrip()}\n\n{told}{mark.lstrip()}{below}"


def _dated(file: Path, version: Version, date: dt.date) -> str:
    try:
        described: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise OutputError(f"{file} cannot be read as JSON: {exc}") from exc
    told = {**described, "version": str(version), "datePublished": date.isoformat()}
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)  # else it would be written through the link
    path.write_text(text, encoding="utf-8")


def _refuse_strange(edition: Edition) -> None:
    """See that the folder holds the files of its manifest and no other: what nobody knows of is not published."""
    here = {p.relative_to(edition.folder).as_posix() for p in edition.folder.rglob("*") if p.is_file()}
    known = {*edition.manifest["files"]}
    for file in sorted(known - here):
        raise OutputError(
            f"{edition.folder / file} is missing: build the dataset again before you publish it"
        )
    for file in sorted(here - known - {MANIFEST}):
        if not file.startswith(ALONGSIDE):
            raise OutputError(
                f"{edition.folder / file} is not part of the dataset: move it away before you publish"
            )


def _refuse_changed(edition: Edition, staged: dict[str, Any]) -> None:
    for file, facts in edition.manifest["files"].items():
        found = _facts(edition.folder / file) if file in WRITTEN else staged[file]
        if found != facts:
            raise OutputError(
                f"{edition.folder / file} is not as {MANIFEST} has it: `vlaa-thinking audit {edition.name}` says more"
            )


def _facts(file: Path) -> dict[str, Any]:
    return {"bytes": file.stat().st_size, "sha256": hash_file(file)}
