"""GeoQA170K: plane geometry, four options. Its captions are too unreliable to reason from, so it goes to `rl` as it is.

Seen in public documentation: the card of lmms-lab/LLaVA-OneVision-Data, config `geo170k(qa)` (id, image,
conversations, data_source; 67,800 rows); the README of G-LLaVA, whose Luckyjhg/Geo170K has `qa_tuning.json` and
`images.zip` with geo3k/ and geoqa_plus/; records of the VLAA-Thinking README, whose questions end in "Choices:" and
lines "A: ...". The answers end in "Answer: C" or the like; options joined by the Chinese word for "or" occur.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from vlaa_thinking.record import Row
from vlaa_thinking.sources import About, Rows, Source
from vlaa_thinking.sources.conversation import bare, first_turn, stem, tagged
from vlaa_thinking.sources.native import Where, tabled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ABOUT = About(
    title="GeoQA170K",
    hf="lmms-lab/LLaVA-OneVision-Data",
    rows=67_800,
    size="160 MB",
    answer_types=("choice",),
)

_ANSWER = re.compile(
    r"\b(?i:answer)\b(?:\s+(?i:is))?\s*[:\uff1a]?\s*(?:\((?P<round>[A-Ha-h])\)|(?P<bare>[A-H])(?![A-Za-z]))"
)


def read(
    at: Source,
    *,
    path: str | None = None,
    hf: str = ABOUT.hf,
    config: str = "geo170k(qa)",
    revision: str | None = None,
) -> Iterator[Row]:
    """Read the questions; a folder may hold the Parquet files or `qa_tuning.json` with its images."""
    where = Where(path=path, hf=hf, config=config, revision=revision)
    pairs = tabled(at, where, files=("qa_tuning.json", "train.json"))
    return Rows((_row(cells, image) for cells, image in pairs), ABOUT.rows if path is None else 0)


def _row(cells: Mapping[str, Any], image: Any) -> Row:  # noqa: ANN401 - as the set has it
    question, said = first_turn(cells)
    question = bare(question).replace("\u6216", " or ")
    name = cells.get("image")
    own = str(cells.get("id") or (name if isinstance(name, str) else ""))
    return Row(
        id=tagged(stem(own) or "geo170k", question),
        image=image,
        question=question,
        answer=letter(said),
        answer_type="choice",
    )


def letter(said: str) -> str:
    """Return the last letter that a solution calls its answer, or else the whole of it for `collect` to read."""
    found = [match["round"] or match["bare"] for match in _ANSWER.finditer(said)]
    return found[-1].upper() if found else said
