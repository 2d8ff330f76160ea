r"""Math-PUMA, the synthesised part of its second stage: functions and figures drawn by programs.

Seen in public documentation: the file list of Math-PUMA/Math-PUMA_Data_Stage2 (`Synthesis/train.json`, 189 MB, and
`Synthesis/images.tar.gz`, 7.1 GB); the README and training code of wwzhuang01/Math-PUMA, which read image_url,
instruction and output, and the same three with `_2`: one problem told twice, once with more in words and once with
more in the image; a record of the VLAA-Thinking README, whose answer is the whole solution, "Step 1: ... †Answer: ...".
Which of the two tellings carries the image's one is not written down: taken is the one with an image, of two the one
with the shorter instruction, and the other is the problem as text alone.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from vlaa_thinking.record import Fault, Row
from vlaa_thinking.sources import About, Source
from vlaa_thinking.sources.conversation import bare, tagged
from vlaa_thinking.sources.native import rows_of
from vlaa_thinking.sources.pictures import Pictures
from vlaa_thinking.sources.place import place_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vlaa_thinking.sources.pictures import Image
    from vlaa_thinking.sources.place import Place

ABOUT = About(
    title="Math-PUMA Synthesis",
    hf="Math-PUMA/Math-PUMA_Data_Stage2",
    rows=0,
    size="189 MB of questions; 7.1 GB of images in one tar file, read as far as needed",
    answer_types=("math",),
)

_MARK = re.compile(r"\u2020\s*answer\s*[:\uff1a]\s*", re.IGNORECASE)
_RESIDUE = re.compile(r"^\s*(?:(?:final )?answer|output(?: \d+)?)\s*[:\uff1a]\s*", re.IGNORECASE)
_WANTS_FUNCTION = re.compile(
    r"\b(?:equation|expression|function|formula)\b|\bf\s*\(\s*x\s*\)\s*=\s*\?|\by\s*=\s*\?", re.IGNORECASE
)
_WANTS_ELSE = re.compile(
    r"\b(?:value|zero|root|period|maximum|minimum|domain|range|slope|intercept|derivative|area|amplitude|asymptote)s?\b"
    r"|\b(?:is|find|determine|calculate|for)\s+(?-i:[a-zA-Z])(?=\s*[.?,]|\s*$|\s+(?:in|if|when|such|and)\b)",
    re.IGNORECASE,
)
_FUNCTION = re.compile(r"\b(?:y|f\s*\(\s*x\s*\))\s*=\s*[^,;?\n]*[^,;?.\s]", re.IGNORECASE)
_UNKNOWN = re.compile(r"\b([a-zA-Z])\s*=\s*([-+]?[\w./*^()\\{} ]*[\w)}])")
_STOP = re.compile(
    r"(?:\.\s|\s+(?:goes|passes|passing|pass|has|is|and|which|with|through|where|that|if)\b).*$",
    re.IGNORECASE | re.DOTALL,
)


def read(
    at: Source, *, path: str | None = None, hf: str = ABOUT.hf, revision: str | None = None
) -> Iterator[Row]:
    """Read the problems; the one told in words takes the caption's place."""
    place = place_of(at, path=path, hf=hf, revision=revision)
    rows = rows_of(at, place, ("Synthesis/train.json", "train.json", "train.jsonl"))
    return _read(place, at, rows)


def _read(place: Place, at: Source, rows: Iterator[Mapping[str, Any]]) -> Iterator[Row]:
    told = (_told(cells) for cells in rows)
    with Pictures(place, at.name) as pictures:
        for cells, image in pictures.paired(told, "image", lambda cells: at.wants(_id(cells))):
            yield _row(cells, image)


def _told(cells: Mapping[str, Any]) -> Mapping[str, Any]:
    """Sort out which telling of a problem goes with the image."""
    tellings = [
        {"image": cells.get(f"image_url{n}") or "", "question": bare(str(cells.get(f"instruction{n}") or "")),
         "solution": str(cells.get(f"output{n}") or "")}
        for n in ("", "_2")
    ]  # fmt: skip
    seen = sorted((t for t in tellings if t["image"] and t["question"]), key=lambda t: len(t["question"]))
    shown = seen[0] if seen else tellings[0]
    words = max((t["question"] for t in tellings), key=len)
    return {
        **shown,
        "id": cells.get("id"),
        "words": words if len(words) > len(shown["question"]) else "",
        "solution": shown["solution"] or tellings[0]["solution"] or tellings[1]["solution"],
    }


def _row(cells: Mapping[str, Any], image: Image) -> Row:
    question, words = cells["question"], cells["words"]
    answer = final_answer(cells["solution"])
    fault = None
    wants_function = _WANTS_FUNCTION.search(question) and not _WANTS_ELSE.search(question)
    if wants_function and not _FUNCTION.match(answer):
        whole = whole_function(answer, words or question, cells["solution"])
        if whole is None:
            reason = f'the question asks for the whole function, and the answer is "{answer[:80]}"'
            fault = Fault(code="bad_answer", reason=reason)
        answer = whole or answer
    return Row(
        id=_id(cells),
        image=image,
        question=question,
        answer=answer,
        answer_type="math",
        text_question=words or None,
        fault=fault,
    )


def _id(cells: Mapping[str, Any]) -> str:
    stem = PurePosixPath(str(cells["image"])).stem
    return tagged(str(cells["id"] or stem or "synthesis"), stem, cells["question"])


def final_answer(solution: str) -> str:
    """Return what stands behind the last answer mark, without the steps before it and what a model put around it."""
    text = _MARK.split(solution)[-1].strip()
    while _RESIDUE.match(text):
        text = _RESIDUE.sub("", text, count=1).strip()
    return text.removesuffix(".").strip()


def whole_function(answer: str, problem: str, solution: str) -> str | None:
    """Put an answer that gives the unknowns alone ("a = -5") into the function whose unknowns they are.

    The function is the one that the problem gives; or else the last one that the solution writes down without
    the unknowns. None where there is neither.
    """
    found = {name: value.strip() for name, value in _UNKNOWN.findall(answer) if name not in "xy"}
    if not found:
        return None
    given = _FUNCTION.search(problem)
    if given:
        function = _STOP.sub("", given[0]).strip()
        if all(_alone(name).search(function) for name in found):
            for name, value in found.items():
                function = _alone(name).sub(partial(_put, value), function)
            return function
    written = [_STOP.sub("", match[0]).strip() for match in _FUNCTION.finditer(solution)]
    free = [text for text in written if not any(_alone(name).search(text) for name in found)]
    return free[-1] if free else None


def _alone(name: str) -> re.Pattern[str]:
    """Match an unknown that is no part of a word; an x may follow it."""
    return re.compile(rf"(?<![A-Za-z\\]){name}(?![A-Za-wyz])")


def _put(value: str, place: re.Match[str]) -> str:
    """Write a value in an unknown's place, in brackets where a sign or a sum would be misread."""
    before = place.string[: place.start()].rstrip()
    plain = before.endswith(("=", "(")) and re.fullmatch(r"[-+]?[\w.]+", value)
    return value if plain or not re.search(r"[-+*/ ]", value) else f"({value})"
