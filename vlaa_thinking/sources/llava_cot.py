"""LLaVA-CoT-100k, from which the paper takes two sets of rows with boxes: what its two readers share.

Seen in public documentation: the card of Xkev/LLaVA-CoT-100k (`train.jsonl` with id, image and conversations;
`image.zip.part-aa` to `-ap`, to be joined), and public code that reads its answers: four sections between <SUMMARY>,
<CAPTION>, <REASONING> and <CONCLUSION> tags, several turns a row. The paper counts 3,000 rows of each set going in and
8,727 and 38,242 coming out, which fits if each turn of a conversation becomes a row: so it is done here, and
`conversations` counts what goes in.

Issues 606, 623 and 822 of haotian-liu/LLaVA compare boxes with images: those of Visual Genome rows are shares of the
image padded to a square, those of COCO rows shares of the image itself. All are published as the latter.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from vlaa_thinking.checks.iou import read_boxes
from vlaa_thinking.record import Fault, Row
from vlaa_thinking.sources.boxes import BoxFrame, displayed_size, reframed, to_unit
from vlaa_thinking.sources.conversation import tagged, turns
from vlaa_thinking.sources.native import Where, rows_of
from vlaa_thinking.sources.pictures import Image, Pictures
from vlaa_thinking.sources.place import place_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vlaa_thinking.sources import Source
    from vlaa_thinking.sources.place import Place

HF = "Xkev/LLaVA-CoT-100k"
ROWS = 98_600
SIZE = "train.jsonl; images in a zip file of 16 parts, read here and there"

Turns = Literal["boxes", "all"]
"""The turns that become rows: those answered by a box, whose gold people drew; or all, gold or GPT-4o's word."""

_SECTION = re.compile(r"<(SUMMARY|CAPTION|REASONING|CONCLUSION)>(.*?)</\1>", re.DOTALL | re.IGNORECASE)


def rows(
    at: Source, where: Where, *, folder: str, boxes_in: BoxFrame, conversations: int | None, which: Turns
) -> Iterator[Row]:
    """Give the turns of the conversations on images below `folder`."""
    place = place_of(at, path=where.path, hf=where.hf, revision=where.revision)
    cells = rows_of(at, place, ("train.jsonl", "train.json"))
    mine = islice((c for c in cells if _is_below(c, folder)), conversations)
    return _rows(place, at.name, mine, boxes_in, which)


def _is_below(cells: Mapping[str, Any], folder: str) -> bool:
    return folder in str(cells.get("image") or "").lower().split("/")


def _rows(
    place: Place, source: str, cells: Iterator[Mapping[str, Any]], boxes_in: BoxFrame, which: Turns
) -> Iterator[Row]:
    with Pictures(place, source) as pictures:
        for conversation, image in pictures.paired(cells, "image"):
            size = displayed_size(image)
            for question, answer in turns(conversation):
                row = _row(conversation, image, question, answer)
                if which == "all" or row.answer_type == "iou":
                    yield _framed(row, boxes_in, size)


def _row(cells: Mapping[str, Any], image: Image, question: str, said: str) -> Row:
    sections = {name.upper(): text.strip() for name, text in _SECTION.findall(said)}
    answer = sections.get("CONCLUSION", "")
    thought = "\n\n".join(t for n in ("SUMMARY", "CAPTION", "REASONING") if (t := sections.get(n)))
    boxes = tuple(read_boxes(answer)) if "[" in answer else ()
    fault = None
    if not answer or not thought:
        missing = "conclusion" if not answer else "reasoning"
        fault = Fault(code="no_reasoning", reason=f"the answer has no section of its {missing}")
    return Row(
        id=tagged(str(cells.get("id") or "row"), str(cells.get("image")), question),
        image=image,
        question=question,
        answer=answer,
        answer_type="iou" if boxes else "auto",
        boxes=boxes,
        reasoning=thought or None,
        response=answer or None,
        fault=fault,
    )


def _framed(row: Row, frame: BoxFrame, size: tuple[int, int] | None) -> Row:
    """Bring a row's boxes, and those that its texts mention, into the unit frame of its image."""
    if size is None or frame == "unit":
        return row
    return replace(
        row,
        question=reframed(row.question, frame, size),
        answer=reframed(row.answer, frame, size),
        boxes=tuple(to_unit(box, frame, size) for box in row.boxes),
        reasoning=reframed(row.reasoning, frame, size) if row.reasoning else None,
        response=reframed(row.response, frame, size) if row.response else None,
    )
