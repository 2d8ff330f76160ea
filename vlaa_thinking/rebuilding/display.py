"""What a person sees of a rebuild."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from vlaa_thinking.display import sayer

if TYPE_CHECKING:
    from rich.console import Console

    from vlaa_thinking.rebuilding import Rebuild


def tell_rebuild(found: Rebuild, console: Console) -> None:
    """Print what is missing, row by row, then which files differ."""
    say = sayer(console)
    say(f"{found.rows:,} rows rebuilt from {found.answers:,} stored answers; no call was made")
    if found.missing:
        steps = Counter(each.step for each in found.missing)
        say(f"{len(found.missing):,} rows met an answer that is not stored:")
        for each in found.missing:
            say(f"  {each.step}: {each.row}")
        say(f"by step: {', '.join(f'{step} {rows:,}' for step, rows in steps.items())}")
    then, now = found.versions
    if then != now:
        say(f"{found.folder} was made by vlaa-thinking {then}, this is {now}")
    if found.out is None:
        say("no row would be kept, so no folder was made")
        return
    for name in found.differing:
        say(f"differs: {name}")
    same = "the same bytes as" if found.identical else "not the same as"
    say(f"{found.out} is {same} {found.folder}")
