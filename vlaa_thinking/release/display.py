"""What a person sees of an import: its counts while it runs, and what was found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from vlaa_thinking.display import Drawing, clock, sayer
from vlaa_thinking.release.origins import ORIGINS

if TYPE_CHECKING:
    from rich.console import Console

    from vlaa_thinking.release.result import ImportCounts, ImportResult

FORMS = {"lines": "JSON Lines", "array": "JSON array"}


class ImportProgress(Drawing["ImportCounts"]):
    """A live display of an import's counts."""

    def __init__(self, console: Console) -> None:
        """Draw on `console`."""
        super().__init__(console, _most_met, _line)


def _most_met(counts: ImportCounts) -> Table:
    """Show the defects that were met most often so far."""
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    table.add_column("defect", no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    for code, rows in sorted(counts.defects.items(), key=lambda item: (-item[1], item[0]))[:10]:
        table.add_row(code, f"{rows:,}")
    return table


def _line(counts: ImportCounts) -> Text:
    parts = [counts.doing]
    if counts.rows < counts.surveyed:
        seen = (
            f"{counts.rows:,} of {counts.surveyed:,} rows"
            if counts.rows
            else f"{counts.surveyed:,} rows seen"
        )
        parts.append(seen)
    else:
        parts.append(f"{counts.written:,} of {counts.rows:,} rows written")
    if counts.rows:
        parts.append(f"{sum(counts.kept.values()):,} kept, {sum(counts.dropped.values()):,} rejected")
    parts.append(f"{clock(counts.seconds)} elapsed")
    if 0 < counts.rows < counts.surveyed:
        left = counts.seconds / counts.rows * (counts.surveyed - counts.rows)
        parts.append(f"about {clock(left)} to go")
    return Text(" · ".join(parts))


def tell_import(result: ImportResult, console: Console, *, check: bool = False) -> None:
    """Print what the files hold, what is wrong with their rows, and how to load what was made of them."""
    say = sayer(console)
    for file in result.files:
        say(f"{file.name}: {file.rows:,} rows for {file.config}, {FORMS[file.form]}")
    say("")
    if result.defects:
        console.print(_defects(result))
        say("")
    say(
        f"{result.rows:,} rows in = {sum(result.kept.values()):,} kept + {sum(result.dropped.values()):,} rejected"
    )
    for config, rows in {
        **result.kept,
        **({"rejected": sum(result.dropped.values())} if result.dropped else {}),
    }.items():
        why = (
            ", ".join(f"{code} {count:,}" for code, count in result.dropped.items())
            if config == "rejected"
            else ""
        )
        say(f"  {config}: {rows:,}" + (f" ({why})" if why else ""))
    for source, frame in result.box_frames.items():
        say(
            f"boxes of {source}: taken for shares of the {'padded square' if frame.frame == 'square' else 'image'} "
            f"({frame.outside:,} of {frame.boxes:,} on oblong images would reach into the padding)"
        )
    for source, count in result.missing.items():
        say(_missing(source, count))
    say("")
    if check:
        say("Nothing was written (--check).")
    elif result.out is None:
        say("No row was kept, so no dataset was written.")
    else:
        same = "" if result.changed else " (it held the very same bytes before)"
        say(
            f"Wrote {result.out}{same} in {result.seconds:.1f} s; defects.jsonl in it names each row's defects. To load it:"
        )
        say("")
        say("  from datasets import load_dataset")
        say(
            f'  rows = load_dataset({json.dumps(str(result.out), ensure_ascii=False)}, "{next(iter(result.kept))}")'
        )


def _defects(result: ImportResult) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    table.add_column("defect", no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    table.add_column("what is wrong, and what becomes of it", overflow="fold")
    for defect in result.defects:
        table.add_row(defect.code, f"{defect.rows:,}", Text(f"{defect.what}: {defect.done}"))
    return table


def _missing(source: str, count: int) -> str:
    """Say where a source's images are to be had."""
    origin = ORIGINS.get(source)
    if origin is None:
        return f"{count:,} images are missing that lie in no folder of the release"
    if origin.archive:
        return f"{count:,} images of {source} are missing: fetch {origin.archive} of the release"
    return f"{count:,} images of {source} are missing: fetch them from {origin.site} into images/{source}"
