"""What a person sees of a build's batches between two runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from vlaa_thinking.display import clock, sayer

if TYPE_CHECKING:
    from rich.console import Console

    from vlaa_thinking.batches.overview import BuildStatus


def tell_status(found: BuildStatus, console: Console) -> None:
    """Print how far a build's batches are, and what to do next."""
    say = sayer(console)
    if found.batches:
        table = Table(box=None, pad_edge=False, padding=(0, 2))
        for name in ("model", "roles", "batch", "state"):
            table.add_column(name, overflow="fold")
        for name in ("age", "done", "failed", "of"):
            table.add_column(name, justify="right", no_wrap=True)
        for batch in found.batches:
            told = f"{batch.state}{'' if batch.asked else ' (when last seen)'}"
            numbers = (f"{batch.done:,}", f"{batch.failed:,}", f"{batch.requests:,}")
            words = (batch.model, batch.roles, batch.id or "not confirmed", told)
            table.add_row(*map(Text, words), clock(batch.age), *numbers)
        console.print(table)
        say("")
    for trouble in sorted({batch.trouble for batch in found.batches if batch.trouble}):
        say(f"A provider could not be asked: {trouble}")
    say(f"{found.next} Taken in before: {found.taken_in:,}." if found.taken_in else found.next)
