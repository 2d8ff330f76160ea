"""DocVQA: questions on scanned pages, each with the strings that count as right.

Seen in public documentation: the card of lmms-lab/DocVQA, config `DocVQA`, split `train` (questionId, question,
question_types, image, docId, ucsf_document_id, ucsf_document_page_no, answers, data_split; 39,463 rows); public code
that reads the challenge's own files: `train_v1.0_withQT.json`, an object whose array `data` has the same fields, with
image "documents/xnbl0037_1.png", beside `spdocvqa_images.tar.gz`. They are to be had from docvqa.org by registration.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vlaa_thinking.record import Row
from vlaa_thinking.sources import About, Rows, Source
from vlaa_thinking.sources.native import Where, tabled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ABOUT = About(
    title="DocVQA",
    hf="lmms-lab/DocVQA",
    rows=39_463,
    size="5.7 GB, streamed",
    answer_types=("open",),
)


def read(
    at: Source,
    *,
    path: str | None = None,
    hf: str = ABOUT.hf,
    config: str = "DocVQA",
    split: str = "train",
    revision: str | None = None,
) -> Iterator[Row]:
    """Read the questions of a split; in a folder, that of `SPLIT_v1.0_withQT.json` or of the Parquet files there."""
    where = Where(path=path, hf=hf, config=config, split=split, revision=revision)
    files = (f"{split}_v1.0_withQT.json", f"{split}_v1.0.json")
    pairs = tabled(at, where, files=files, key="data")
    return Rows((_row(cells, image) for cells, image in pairs), ABOUT.rows if path is None else 0)


def _row(cells: Mapping[str, Any], image: Any) -> Row:  # noqa: ANN401 - as the set has it
    accepted = tuple(str(answer) for answer in cells.get("answers") or () if str(answer).strip())
    own = cells.get("questionId")
    return Row(
        id=None if own is None else str(own),
        image=image,
        question=str(cells.get("question") or ""),
        answer=accepted[0] if accepted else "",
        answer_type="open",
        answers=accepted,
    )
