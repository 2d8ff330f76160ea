"""What a person sees of an audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

    from vlaa_thinking.auditing import Audit


def tell_audit(found: Audit, console: Console) -> None:
    """Print what was checked, then what disagrees."""

    def say(text: str = "") -> None:
        console.print(Text(text), soft_wrap=True)

    say(f"{found.files:,} files, {found.bytes:,} bytes hashed")
    for place, rows in found.rows.items():
        say(f"  {place}: {rows:,} rows")
    say(f"{found.answers:,} right answers held against their own check")
    say(f"{found.verdicts:,} verdicts reached again by rule; the others:")
    for why, rows in sorted(found.unreached.items(), key=lambda pair: -pair[1]):
        say(f"  {rows:,} {why}")
    for finding in found.findings:
        say()
        say(f"{finding.code} ({finding.count:,}): {finding.what}")
        for example in finding.examples:
            say(f"  {example}")
        if finding.count > len(finding.examples):
            say(f"  and {finding.count - len(finding.examples):,} more")
    say()
    kinds = len(found.findings)
    say(
        f"{kinds} kinds of disagreement in {found.name}"
        if kinds > 1
        else f"One kind of disagreement in {found.name}"
        if kinds
        else f"Nothing disagrees in {found.name}"
    )
