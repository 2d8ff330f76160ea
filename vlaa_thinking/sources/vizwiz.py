"""VizWiz: photos taken by blind people, each with a spoken question and the answers of ten strangers.

Seen in public documentation: public code that reads the challenge's `train.json`, an array of image
("VizWiz_train_00000000.jpg"), question, answers (ten of answer and answer_confidence: yes, maybe, no), answer_type and
answerable; the card of lmms-lab/VizWiz-VQA (question_id, image, question, answers as plain strings, category), which
has the splits `val` and `test` alone. The paper's 20,523 rows are the training ones, to be had from vizwiz.org.
"""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from vlaa_thinking.record import Fault, Row
from vlaa_thinking.sources import About, Rows, Source
from vlaa_thinking.sources.native import Where, tabled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ABOUT = About(
    title="VizWiz-VQA",
    hf="lmms-lab/VizWiz-VQA",
    rows=4_319,
    size="2.1 GB on the Hub, validation split; 20,523 training rows from vizwiz.org",
    answer_types=("open",),
)

NONE = frozenset({"unanswerable", "unsuitable", "unsuitable image"})
"""What annotators write where a photo does not show what is asked."""

AGREED = 2
"""Of the ten, so many must have given an answer for it to count as accepted beside the majority's."""


def read(
    at: Source,
    *,
    path: str | None = None,
    hf: str = ABOUT.hf,
    split: str = "val",
    revision: str | None = None,
    keep_unanswerable: bool = False,
) -> Iterator[Row]:
    """Read the questions of a split (in a folder: of its JSON file).

    The answer is the majority's, with its share. Rows that most annotators could not answer end as `unanswerable`,
    unless `keep_unanswerable` makes "unanswerable" their right answer.
    """
    where = Where(path=path, hf=hf, split=split, revision=revision)
    names = {"validation": "val"}.get(split, split), "train"
    files = tuple(f"{folder}{name}.json" for name in dict.fromkeys(names) for folder in ("", "Annotations/"))
    pairs = tabled(at, where, files=files)
    rows = (_row(cells, image, keep_unanswerable) for cells, image in pairs)
    return Rows(rows, ABOUT.rows if path is None else 0)


def _row(cells: Mapping[str, Any], image: Any, keep: bool) -> Row:  # noqa: ANN401 - as the set has it
    given = [answer for answer in map(_said, cells.get("answers") or ()) if answer[0]]
    answer, share = majority(given)
    counts = Counter(text for text, _ in given)
    accepted = [answer, *(t for t, n in counts.most_common() if n >= AGREED and t not in {answer, *NONE})]
    unanswerable = answer in NONE or cells.get("answerable") in (0, False)
    fault = None
    if unanswerable and not keep:
        words = f"{share:.0%} of the annotators" if answer in NONE else "the annotators"
        fault = Fault(code="unanswerable", reason=f"{words} found no answer in the image")
    if unanswerable and keep:
        answer, accepted = "unanswerable", ["unanswerable"]
    name = cells.get("image")
    own = cells.get("question_id") or (name if isinstance(name, str) else "")
    return Row(
        id=PurePosixPath(str(own)).stem or None,
        image=image,
        question=str(cells.get("question") or ""),
        answer=answer,
        answer_type="open",
        answers=tuple(accepted) if answer else (),
        answer_share=share if given else None,
        fault=fault,
    )


def _said(answer: Any) -> tuple[str, bool]:  # noqa: ANN401 - as the set has it
    """Return an answer in lower case, and whether its giver was sure."""
    if isinstance(answer, dict):
        return str(answer.get("answer") or "").strip().lower(), answer.get("answer_confidence") == "yes"
    return str(answer or "").strip().lower(), True


def majority(given: list[tuple[str, bool]]) -> tuple[str, float]:
    """Return the answer given most often, and its share; of equals, the surest one's, then the first in the alphabet."""
    if not given:
        return "", 0.0
    counts, sure = Counter(text for text, _ in given), Counter(text for text, yes in given if yes)
    answer = min(counts, key=lambda text: (-counts[text], -sure[text], text))
    return answer, counts[answer] / len(given)
