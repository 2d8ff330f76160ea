"""What a person sees of an answer cache."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

    from vlaa_thinking.ledger import CacheLine, CacheStats, Explanation
    from vlaa_thinking.ledger.garbage import Garbage


WIDEST = 400
"""Characters of a single value that are shown."""


def tell_stats(stats: CacheStats, console: Console) -> None:
    """Print what an answer cache holds."""
    console.print(_answers(stats.lines))
    _say(console, "")
    _say(
        console,
        f"{stats.answers:,} answers and facts on {stats.images:,} images, {stats.bytes:,} bytes, in {stats.cache}",
    )


def tell_differences(found: Explanation, console: Console) -> None:
    """Print how two calls differ."""
    _say(console, f"A  {found.a}")
    _say(console, f"B  {found.b}")
    if not found.differences:
        _say(console, "The two are one call: every field that decides the answer is the same.")
    for difference in found.differences:
        _say(console, "")
        _say(console, difference.path)
        if difference.diff:
            for line in difference.diff:
                _say(console, f"  {line}")
            continue
        for side, value in (("A", difference.a), ("B", difference.b)):
            shown = "(absent)" if value is None else textwrap.shorten(value, WIDEST, placeholder=" ...")
            _say(console, f"  {side}  {shown}")


def tell_garbage(found: Garbage, console: Console) -> None:
    """Print what no project asks for, and on what that rests."""
    for build in found.builds:
        _say(console, f"{build.project}, profile {build.profile}, preset {build.preset}: {build.rows:,} rows")
        if build.unread:
            _say(
                console,
                f"  not read, being on the Hub: {', '.join(build.unread)}; every answer to this profile's prompts is kept",
            )
        if build.unknown:
            _say(
                console,
                f"  {build.unknown:,} of them lack an answer or an image: every answer to the prompts from there on is kept",
            )
    _say(console, "")
    if found.answers:
        console.print(_answers(found.lines))
        _say(console, "")
    done = "were deleted" if found.deleted else "are asked for by none of these"
    _say(
        console,
        f"{found.answers:,} answers ({found.bytes:,} bytes) {done}; {found.kept:,} stay in {found.cache}",
    )
    if found.answers and not found.deleted:
        _say(console, "Nothing was deleted: --yes does that.")


def _answers(lines: tuple[CacheLine, ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for name in ("model", "api", "step", "state"):
        table.add_column(name, overflow="fold")
    for name in ("answers", "bytes"):
        table.add_column(name, justify="right")
    for line in lines:
        named = (Text(line.model), line.api, line.step or "?", line.state)
        table.add_row(*named, f"{line.answers:,}", f"{line.bytes:,}")
    return table


def _say(console: Console, text: str) -> None:
    """Print text as it is: no markup, no highlighting, no wrapping."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)
