"""A first look through the released files: how many rows, which ids and images, in which frame the boxes are."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vlaa_thinking.checks.iou import read_boxes
from vlaa_thinking.release.boxes import Frame, frame_of
from vlaa_thinking.release.fields import head_of
from vlaa_thinking.release.files import read
from vlaa_thinking.release.origins import ORIGINS, UNKNOWN, origin_of
from vlaa_thinking.release.pictures import ahead

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Executor
    from pathlib import Path

    from vlaa_thinking.record import Box
    from vlaa_thinking.release.fields import Head
    from vlaa_thinking.release.files import Line, ReleasedFile
    from vlaa_thinking.release.pictures import Images
    from vlaa_thinking.release.result import ImportCounts

SAMPLE = 1000
"""Boxes of a source by which its frame is told."""


@dataclass(slots=True)
class Survey:
    """What is known of a release before its rows are read one by one: a few hundred bytes a row."""

    rows: dict[Path, int] = field(default_factory=dict["Path", int])
    """Rows of each file."""
    images: set[str] = field(default_factory=set[str])
    """Paths below images/."""
    boxes: dict[str, list[tuple[str, Box]]] = field(default_factory=dict[str, "list[tuple[str, Box]]"])
    """By source: the first RL rows with one box, each with its image's path."""
    _ids: dict[int, int | None] = field(default_factory=dict[int, "int | None"])
    """By a hash of source and id: the identity of its row, None if several different rows have it."""

    @property
    def boxed(self) -> set[str]:
        """The sources whose images' sizes will be asked: those with boxes, as far as is known yet."""
        return {*self.boxes, *(origin.name for origin in ORIGINS.values() if origin.box_frame != "unit")}

    def source_id(self, head: Head) -> tuple[str, bool]:
        """Return the id that a row is published under, below its source, and whether other rows have its own."""
        if not head.own_id:
            return head.identity, False
        if self._ids.get(_key(head)) is None:
            return f"{head.own_id}~{head.identity[:8]}", True
        return head.own_id, False

    def note(self, line: Line) -> None:
        """Take down one row."""
        if line.row is None:
            return
        head = head_of(line.row)
        if head.image is not None:
            self.images.add(head.image)
        if head.own_id:
            key = _key(head)
            identity = int(head.identity, 16)
            if self._ids.setdefault(key, identity) != identity:
                self._ids[key] = None
        gt = line.row.get("gt")
        if head.image and isinstance(gt, str) and str(line.row.get("verifier_type")).strip().lower() == "iou":
            sample = self.boxes.setdefault(origin_of(head.image).name, [])
            found = read_boxes(gt[:500]) if len(sample) < SAMPLE else []
            if len(found) == 1:
                sample.append((head.image, found[0]))


def look_through(files: Iterable[ReleasedFile], counts: ImportCounts) -> Survey:
    """Look through the files."""
    found = Survey()
    for file in files:
        before = counts.surveyed
        for line in read(file.path, file.form):
            found.note(line)
            counts.surveyed += 1
            counts.show()
        found.rows[file.path] = counts.surveyed - before
    return found


def frames_of(found: Survey, images: Images, pool: Executor) -> dict[str, Frame]:
    """Tell the frame of each source's boxes from a sample of its rows and their images' sizes."""
    frames = {}
    for origin in (*ORIGINS.values(), UNKNOWN):
        looked = ahead(pool, lambda item: images.size(item[0]), found.boxes.get(origin.name, ()))
        frame = frame_of(((box, size) for (_, box), size in looked if size), origin.box_frame)
        if frame.boxes or frame.frame != "unit":
            frames[origin.name] = frame
    return frames


def _key(head: Head) -> int:
    return short_hash(f"{origin_of(head.image).name}/{head.own_id}")


def short_hash(text: str) -> int:
    """Return 64 bits that stand for a text: of a million texts, the chance that any two share theirs is 3 in 10^8."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
