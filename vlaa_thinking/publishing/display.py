"""What a person sees of a version that was published, or would be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.text import Text

from vlaa_thinking.differing.display import tell_diff

if TYPE_CHECKING:
    from rich.console import Console

    from vlaa_thinking.publishing.result import Publication

SHOWN = 10
"""Files to be removed that are named."""


def tell_publication(made: Publication, console: Console) -> None:
    """Print what was done, and how to load it; of a dry run, what would be, and what is different."""

    def say(text: str = "") -> None:
        console.print(Text(text), soft_wrap=True)

    if made.diff is not None and made.done == "dry run":
        tell_diff(made.diff, console, last=made.last)
        say()
    version = f"{made.tag} of {made.name} ({'private' if made.private else 'public'})"
    if made.files:
        removed = f", {len(made.removed):,} removed" if made.removed else ""
        say(f"{made.files:,} files, {made.bytes:,} bytes{removed}")
        for file in made.removed[:SHOWN]:
            say(f"  removed: {file}")
        if len(made.removed) > SHOWN:
            say(f"  and {len(made.removed) - SHOWN:,} more")
    if made.done == "dry run":
        what = "its tag alone is missing" if made.commit else "the first version" if made.last is None else ""
        say(f"Nothing was published (--dry-run): it would become {version}{what and f'; {what}'}.")
        return
    how = {"published": "Published", "tagged": "Finished", "nothing": "Published before, and whole:"}
    say(f"{how[made.done]} {version}, commit {made.commit}. To load it:")
    say()
    say("  from datasets import load_dataset")
    say(f'  rows = load_dataset({json.dumps(made.name)}, revision="{made.tag}")')
