"""What a person sees of a scored file of predictions."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

    from vlaa_thinking.scoring import ScoreReport, Tally

REASONS = 3
"""Reasons that are shown of an answer type."""


def tell_scores(report: ScoreReport, console: Console) -> None:
    """Print accuracy by type and by source, the reasons, and what was left out."""
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    table.add_column("", no_wrap=True)
    for name in ("lines", "unreadable", "right", "wrong", "not scored", "accuracy", "mean", "likeness"):
        table.add_column(name, justify="right")
    for tallies in (report.by_type, report.by_source):
        for name, tally in tallies.items():
            table.add_row(Text(name or "(no source)"), *_cells(tally))
        table.add_section()
        table.add_row()
    table.add_row("all", *_cells(report.total))
    console.print(table)
    for line in _notes(report):
        console.print(Text(line), soft_wrap=True)


def as_json(report: ScoreReport) -> str:
    """Write a report for programs: the same figures, and every line's verdict."""
    figures: dict[str, Any] = {
        "total": _figures(report.total),
        "by_type": {name: _figures(tally) for name, tally in report.by_type.items()},
        "by_source": {name: _figures(tally) for name, tally in report.by_source.items()},
        "rows": report.rows,
        "unanswered": report.unanswered,
        "unmatched": report.unmatched,
        "other_rules": report.other_rules,
        "lines": [asdict(line) for line in report.lines],
    }
    return json.dumps(figures, ensure_ascii=False, indent=2)


def _figures(tally: Tally) -> dict[str, Any]:
    """Write a tally's counts, shares and means; each line has its own likeness."""
    counts = ("lines", "unreadable", "right", "wrong", "not_scored")
    shares = ("accuracy", "mean", "likeness")
    return {name: getattr(tally, name) for name in (*counts, *shares)} | {"reasons": tally.reasons}


def _cells(tally: Tally) -> list[str]:
    counts = (tally.lines, tally.unreadable, tally.right, tally.wrong, tally.not_scored)
    least, most = tally.accuracy
    accuracy = f"{least:.1%}" if least == most else f"{100 * least:.1f}-{most:.1%}"
    means = ("." if value is None else f"{value:.3f}" for value in (tally.mean, tally.likeness))
    return [*(f"{count:,}" if count else "." for count in counts), accuracy, *means]


def _notes(report: ScoreReport) -> list[str]:
    """Say why lines are not right, and what no line of the table tells."""
    notes = [""]
    for name, tally in report.by_type.items():
        reasons = tally.reasons.most_common(REASONS)
        if reasons:
            notes.append(f"{name}: " + " ".join(f"{reason} ({count:,})" for reason, count in reasons))
    if report.total.not_scored:
        notes.append(
            "Not scored is what no rule can tell: accuracy runs from none of it right to all of it, and the mean leaves "
            "it out. Likeness is what the words of such free answers share with an accepted one: a hint, no verdict."
        )
    if report.unmatched:
        count = len(report.unmatched)
        have = f"{count:,} lines have" if count > 1 else "1 line has"
        notes.append(f'{have} an id that no row has, such as "{report.unmatched[0]}".')
    if report.unanswered:
        have = "have" if report.unanswered > 1 else "has"
        notes.append(f"{report.unanswered:,} of {report.rows:,} rows {have} no line.")
    if report.other_rules:
        named = ", ".join(f"verifiers/{kind}.toml" for kind in report.other_rules)
        notes.append(f"The rows were kept by another {named}: name their project with --project.")
    return notes
