"""What an import has done so far, and what it ends in."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vlaa_thinking.release.defects import DEFECTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vlaa_thinking.release.boxes import Frame
    from vlaa_thinking.release.rows import Entry
    from vlaa_thinking.release.settling import Settled

REFRESH = 0.1
"""Seconds between two looks of a display."""

EXAMPLES = 3
"""Rows that are named for each defect."""


@dataclass(slots=True)
class ImportCounts:
    """The counts of one import: a display reads them while they change."""

    doing: str = "looking through the files"
    """What is under way, for people."""
    surveyed: int = 0
    """Rows that the first look has seen."""
    rows: int = 0
    """Rows that were read."""
    written: int = 0
    """Rows that stand in a split."""
    kept: dict[str, int] = field(default_factory=dict[str, int])
    """By config."""
    dropped: dict[str, int] = field(default_factory=dict[str, int])
    """By code."""
    missing: dict[str, int] = field(default_factory=dict[str, int])
    """Rows without their image, by source."""
    defects: dict[str, int] = field(default_factory=dict[str, int])
    """By code."""
    examples: dict[str, list[str]] = field(default_factory=dict[str, "list[str]"])
    """Ids of the first rows, by code."""
    started: float = field(default_factory=time.monotonic)
    watch: Callable[[ImportCounts], None] | None = None
    """Shows the counts."""
    _shown: float = 0.0

    def show(self) -> None:
        """Let the counts be shown, about ten times a second."""
        if self.watch and (now := time.monotonic()) - self._shown >= REFRESH:
            self._shown = now
            self.watch(self)

    def begin(self, doing: str) -> None:
        """Say what is done now, at once."""
        self.doing = doing
        self._shown = 0.0
        self.show()

    @property
    def seconds(self) -> float:
        """Since the import began."""
        return time.monotonic() - self.started

    def add(self, entry: Entry, settled: Settled) -> None:
        """Count a row."""
        outcome = settled.record.outcome
        self.rows += 1
        if outcome is None:
            self.kept[entry.config] = self.kept.get(entry.config, 0) + 1
        else:
            self.dropped[outcome.code] = self.dropped.get(outcome.code, 0) + 1
        if "missing_image" in settled.defects:
            self.missing[entry.origin.name] = self.missing.get(entry.origin.name, 0) + 1
        for code in settled.defects:
            self.defects[code] = self.defects.get(code, 0) + 1
            examples = self.examples.setdefault(code, [])
            if len(examples) < EXAMPLES:
                examples.append(settled.record.id)
        self.show()


@dataclass(frozen=True, slots=True, kw_only=True)
class DefectCount:
    """How many rows show one defect."""

    code: str
    what: str
    """What is wrong."""
    done: str
    """What becomes of such a row."""
    rows: int
    examples: tuple[str, ...]
    """Ids of some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedFile:
    """One file that was read."""

    name: str
    form: str
    """"lines" (JSON Lines, whatever the suffix) or "array"."""
    config: str
    """The split it is meant for: "sft" or "rl"."""
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportResult:
    """What `import_release` returns."""

    out: Path | None
    """The dataset folder; None if no row was kept, or nothing was to be written."""
    changed: bool
    """False where the folder held the very same bytes before, or nothing was written."""
    files: tuple[ImportedFile, ...]
    rows: int
    """Rows that came in: kept and dropped."""
    kept: dict[str, int]
    """By config."""
    dropped: dict[str, int]
    """By code."""
    defects: tuple[DefectCount, ...]
    """In the order of the files' fields: a row may show several, and a kept one, too."""
    missing: dict[str, int]
    """Rows without their image, by source."""
    box_frames: dict[str, Frame]
    """By source with boxes."""
    seconds: float


def defects_of(counts: ImportCounts) -> tuple[DefectCount, ...]:
    """List the defects that were met, in the order of their table."""
    return tuple(
        DefectCount(
            code=code,
            what=defect.what,
            done=defect.done,
            rows=counts.defects[code],
            examples=tuple(counts.examples[code]),
        )
        for code, defect in DEFECTS.items()
        if code in counts.defects
    )
