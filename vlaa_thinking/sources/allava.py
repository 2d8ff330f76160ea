"""ALLaVA-LAION: free questions on images of the web, with long answers and long captions.

Seen in public documentation: the card and file list of FreedomIntelligence/ALLaVA-4V (`allava_laion/`:
ALLaVA-Instruct-LAION-4V.json and ALLaVA-Caption-LAION-4V.json, 505,588 objects each over the same images, and
`image_chunks/images_0.zip` to `images_9.zip`), with sample records: id ("allava_laion_inst_100277305"), image
("allava_laion/images/100277305.jpeg"), conversations, original_caption, url.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vlaa_thinking.record import Row
from vlaa_thinking.sources import About, Rows, Source
from vlaa_thinking.sources.conversation import first_turn
from vlaa_thinking.sources.native import Where, filed, rows_of
from vlaa_thinking.sources.place import base, place_of
from vlaa_thinking.sources.scratch import Texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vlaa_thinking.sources.native import Pair

ABOUT = About(
    title="ALLaVA-LAION",
    hf="FreedomIntelligence/ALLaVA-4V",
    rows=505_588,
    size="560 MB of questions, 1.15 GB of captions, read as far as needed; images in ten zip files, read here and there",
    answer_types=("open",),
)

QUESTIONS = ("allava_laion/ALLaVA-Instruct-LAION-4V.json", "ALLaVA-Instruct-LAION-4V.json")
CAPTIONS = ("allava_laion/ALLaVA-Caption-LAION-4V.json", "ALLaVA-Caption-LAION-4V.json")


def read(
    at: Source, *, path: str | None = None, hf: str = ABOUT.hf, revision: str | None = None
) -> Iterator[Row]:
    """Read the questions, each with the set's own caption of its image."""
    where = Where(path=path, hf=hf, revision=revision)
    pairs = filed(at, where, files=QUESTIONS, row_id=_id)
    place = place_of(at, path=path, hf=hf, revision=revision)
    captions = Texts((_image(cells), first_turn(cells)[1]) for cells in rows_of(at, place, CAPTIONS))
    return Rows(_rows(pairs, captions), ABOUT.rows if path is None else 0)


def _rows(pairs: Iterator[Pair], captions: Texts) -> Iterator[Row]:
    with captions:
        for cells, image in pairs:
            question, answer = first_turn(cells)
            yield Row(
                id=_id(cells),
                image=image,
                question=question,
                answer=answer,
                answer_type="open",
                caption=captions.find(_image(cells)) or None,
            )


def _id(cells: Mapping[str, Any]) -> str | None:
    return str(cells["id"]) if cells.get("id") else None


def _image(cells: Mapping[str, Any]) -> str:
    return base(str(cells.get("image") or ""))
