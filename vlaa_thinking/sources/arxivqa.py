"""ArxivQA: questions with options on figures of papers.

Seen in public documentation: the file list of MMInstruction/ArxivQA (`arxivqa.jsonl`, 68 MB, and `images.tgz`,
7.95 GB) and public code that reads it: id, image ("images/1501.00713_1.jpg"), question, options (a list, each with
its letter), label, rationale. Labels come as "A", "A)", "(a)", "A) the whole option".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vlaa_thinking.record import Row
from vlaa_thinking.sources import About, Rows, Source
from vlaa_thinking.sources.native import Where, filed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ABOUT = About(
    title="ArxivQA",
    hf="MMInstruction/ArxivQA",
    rows=100_000,
    size="68 MB of questions; 7.95 GB of images in one tar file, read as far as needed",
    answer_types=("choice",),
)


def read(
    at: Source,
    *,
    path: str | None = None,
    hf: str = ABOUT.hf,
    revision: str | None = None,
    rationale: bool = False,
) -> Iterator[Row]:
    """Read the questions.

    `rationale` shows the captioner why the answer is right, as the set says it. The paper does not say whether its
    captioner saw that; it gives the answer away, so it is off.
    """
    where = Where(path=path, hf=hf, revision=revision)
    pairs = filed(at, where, files=("arxivqa.jsonl", "train_clean.jsonl"), row_id=_id)
    return Rows((_row(cells, image, rationale) for cells, image in pairs), ABOUT.rows if path is None else 0)


def _id(cells: Mapping[str, Any]) -> str | None:
    return str(cells["id"]) if cells.get("id") else None


def _row(cells: Mapping[str, Any], image: Any, rationale: bool) -> Row:  # noqa: ANN401 - as the set has it
    options = cells.get("options")
    return Row(
        id=_id(cells),
        image=image,
        question=str(cells.get("question") or ""),
        answer=str(cells.get("label") or ""),
        answer_type="choice",
        choices=tuple(str(option) for option in options) if isinstance(options, list) else (),
        notes=str(cells.get("rationale") or "") if rationale else "",
    )
