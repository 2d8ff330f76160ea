"""The catalogue on the screen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from vlaa_thinking.catalogue import answer_types_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from vlaa_thinking.catalogue import SourceFacts, SourceSample
    from vlaa_thinking.record import Row


def tell_sources(sources: Sequence[SourceFacts], console: Console) -> None:
    """Print one line for each source; below, what does not fit into one."""
    table = Table(box=None, pad_edge=False)
    for heading in ("source", "license", "rows", "answers", "place", "reachable"):
        table.add_column(heading, justify="right" if heading == "rows" else "left", overflow="fold")
    for s in sources:
        rows = f"{s.rows:,}" if s.rows else "?"
        reached = {True: "yes", False: "no", None: "-"}[s.reachable]
        types = ", ".join(s.answer_types) or "by row"
        table.add_row(*map(escape, (s.name, s.license, rows, types, s.place or s.reader, reached)))
    console.print(table)
    for s in sources:
        notes = [
            note
            for note in (s.size and f"{s.size}.", s.license_note, s.reason and f"Not reachable: {s.reason}.")
            if note
        ]
        if notes:
            console.print(f"{s.name}: {' '.join(notes)}", markup=False, highlight=False)


def tell_sample(sample: SourceSample, console: Console) -> None:
    """Print the rows of a sample, and where its contact sheet is."""
    for row in sample.rows:
        for name, value in _lines(row, sample.name):
            console.print(f"{name:>14}  {value}", markup=False, highlight=False)
        console.print()
    console.print(f"{len(sample.rows)} rows: {answer_types_of(sample.rows)}", highlight=False)
    if sample.sheet is not None:
        console.print(f"images: {sample.sheet}", markup=False, highlight=False)


def _lines(row: Row, source: str) -> list[tuple[str, str]]:
    """List what a row holds, and leave out what it does not."""
    image = "none"
    if isinstance(row.image, bytes):
        image = f"{len(row.image):,} bytes"
    elif isinstance(row.image, Path):
        image = str(row.image)
    elif row.image is not None:
        image = f"none: {row.image.reason}"
    share = "" if row.answer_share is None else f" ({row.answer_share:.0%} of the annotators)"
    held = {
        "id": f"{source}/{row.id}" if row.id else "a hash of image and question",
        "image": image,
        "question": row.question,
        "choices": " | ".join(row.choices),
        "answer": f"{row.answer}{share}",
        "accepted": " | ".join(row.answers),
        "answer type": row.answer_type,
        "boxes": ", ".join(str(list(box)) for box in row.boxes),
        "notes": row.notes,
        "caption": row.caption or "",
        "text question": row.text_question or "",
        "reasoning": row.reasoning or "",
        "dropped": f"{row.fault.code}: {row.fault.reason}" if row.fault else "",
    }
    return [(name, " ".join(value.split())[:400]) for name, value in held.items() if value]
