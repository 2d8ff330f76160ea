"""What becomes of a row once its image is known: its id, the frame of its boxes, and whether it is rejected."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vlaa_thinking.record import Fault, Picture, Record
from vlaa_thinking.release.boxes import has_box, in_image
from vlaa_thinking.release.survey import short_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vlaa_thinking.release.boxes import Frame
    from vlaa_thinking.release.pictures import Images
    from vlaa_thinking.release.rows import Entry
    from vlaa_thinking.release.survey import Survey

Why = tuple[str, str, str]
"""Code, sentence and evidence of a rejection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A row as it goes into the dataset."""

    record: Record
    """With its outcome, if it is rejected."""
    copy: int
    """How many rows of its id came before it."""
    defects: tuple[str, ...]
    """Every defect that it shows, by code."""


class Settling:
    """What must be remembered from row to row."""

    def __init__(self, found: Survey, images: Images, frames: Mapping[str, Frame], *, embed: bool) -> None:
        """Go by a first look at the release; without `embed` a row needs no image."""
        self._found = found
        self._images = images
        self._squares = {source for source, frame in frames.items() if frame.frame == "square"}
        self._embed = embed
        self._seen: set[int] = set()
        self._copies: dict[int, int] = {}
        """Of the ids that came more than once."""

    def settle(self, entry: Entry, picture: Picture | Fault) -> Settled:
        """Decide about one row."""
        source_id, shared = self._found.source_id(entry.head)
        record = replace(
            entry.record,
            id=f"{entry.origin.name}/{source_id}",
            source_id=source_id,
            picture=picture if isinstance(picture, Picture) else None,
        )
        copy = self._count(record.id)
        defects = [*entry.defects, *(["repeated_id"] if shared else [])]
        why = self._why(entry, picture, copy)
        if not why and entry.origin.name in self._squares and has_box(record):
            turned = in_image(record, self._images.size(entry.head.image) if entry.head.image else None)
            if isinstance(turned, str):
                why.append(
                    ("unturned_box", turned, f"gt: {record.gold.answer}\nquestion: {record.question[:500]}")
                )
            else:
                defects.append("square_box")
                record = turned
        for code, sentence, evidence in reversed(why):  # the first counts
            record = record.drop("collect", code, f"collect: {sentence}", evidence or None)
        defects += [code for code, _, _ in why]
        return Settled(record=record, copy=copy, defects=tuple(dict.fromkeys(defects)))

    def _why(self, entry: Entry, picture: Picture | Fault, copy: int) -> list[Why]:
        """List why a row is rejected, the reason that counts first."""
        fault = [entry.fault] if entry.fault else []
        if "unreadable_row" in entry.defects:
            return fault
        why: list[Why] = []
        if copy:
            sentence = f"the same id, image and question stood in an earlier row (this is number {copy + 1})"
            why.append(("duplicate_row", sentence, entry.record.question[:500]))
        if isinstance(picture, Fault) and (self._embed or entry.head.image is None):
            why.append((picture.code, picture.reason, f"image: {entry.head.image}"))
        return why + fault

    def _count(self, row_id: str) -> int:
        key = short_hash(row_id)
        if key not in self._seen:
            self._seen.add(key)
            return 0
        self._copies[key] = self._copies.get(key, 0) + 1
        return self._copies[key]
