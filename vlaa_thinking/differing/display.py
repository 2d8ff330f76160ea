"""What a person sees of two datasets held against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

    from vlaa_thinking.differing import Diff

BECAUSE = {
    "major": "the schema changed",
    "minor": "rows changed",
    "patch": "no row and no column changed",
}


def tell_diff(found: Diff, console: Console, *, last: str | None) -> None:
    """Print the counts, what changed, the version that follows `last`, and the changelog's entry."""

    def say(text: str = "") -> None:
        console.print(Text(text), soft_wrap=True)

    table = Table(box=None, pad_edge=False, padding=(0, 2))
    table.add_column("rows", no_wrap=True)
    for name in ("A", "B", "added", "removed"):
        table.add_column(name, justify="right")
    for place, (a, b) in found.rows.items():
        changes = (found.added.get(place, 0), found.removed.get(place, 0))
        table.add_row(place, f"{a:,}", f"{b:,}", *(f"{count:,}" if count else "." for count in changes))
    console.print(table)
    moved = sum(found.moved.values())
    say(f"in both: {found.same:,} alike, {found.changed:,} changed, {moved:,} in another split")
    for name, ids in found.examples.items():
        say(f"  {name}: {', '.join(ids)}{' ...' if len(ids) < _count(found, name) else ''}")
    if found.columns:
        say("changed columns: " + ", ".join(f"{name} {count:,}" for name, count in found.columns.items()))
    for line in (*found.schema, *found.models):
        say(line.replace("`", ""))
    if found.files:
        say(f"other files: {', '.join(found.files)}")
    say()
    if found.part is None:
        say("The same: there is nothing to publish.")
        return
    following = f": {last} becomes {found.after(last)}" if last else ""
    say(f"A {found.part} version, for {BECAUSE[found.part]}{following}. Its entry in CHANGELOG.md:")
    say()
    say(found.changelog().rstrip())


def _count(found: Diff, name: str) -> int:
    counts = {
        "added": sum(found.added.values()),
        "removed": sum(found.removed.values()),
        "moved": sum(found.moved.values()),
        "changed": found.changed,
    }
    return counts[name]
