"""CLEVR-Math: sums over drawn scenes of blocks, whose answers are small whole numbers.

Seen in public documentation: the card and loading script of dali-does/clevr-math (`data/clevr-math.zip` holds
`clevr-math-train.json`, an object whose array `questions` has template_filename, question, answer, image_filename and
split; `data/CLEVR_v1.0.zip` holds CLEVR's images and `scenes/CLEVR_train_scenes.json`), and the card of
lmms-lab/LLaVA-OneVision-Data, whose config `CLEVR-Math(MathV360K)` has id, image, conversations and data_source, the
question behind a hint, the answer as "The answer is 3". That config has 5,280 rows, the paper 35,000: so the
original set is the default, and the config is read where `config` names it. The form of CLEVR's scenes is that of
its README.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from vlaa_thinking.errors import SetupError
from vlaa_thinking.record import Row
from vlaa_thinking.sources import About, Source
from vlaa_thinking.sources.conversation import bare, first_turn, tagged
from vlaa_thinking.sources.native import Where, filed, rows_of, tabled
from vlaa_thinking.sources.place import place_of
from vlaa_thinking.sources.scratch import Texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vlaa_thinking.sources.native import Pair

ABOUT = About(
    title="CLEVR-Math",
    hf="dali-does/clevr-math",
    rows=0,
    size="28 MB of questions; CLEVR's images and scenes, 19 GB, are read here and there",
    answer_types=("digit",),
)

QUESTIONS = ("clevr-math.zip!clevr-math-train.json", "clevr-math-train.json")
_SAID = re.compile(r"^\s*the answer is:?\s*", re.IGNORECASE)
SCENES = ("CLEVR_v1.0.zip!CLEVR_train_scenes.json", "CLEVR_train_scenes.json")


def read(
    at: Source,
    *,
    path: str | None = None,
    hf: str = ABOUT.hf,
    config: str | None = None,
    revision: str | None = None,
    scenes: bool = True,
) -> Iterator[Row]:
    """Read the training questions; `scenes` gives the captioner the scene's objects in words, where CLEVR lists them."""
    where = Where(path=path, hf=hf, config=config, revision=revision)
    if config is not None:
        return (_row(cells, image, None) for cells, image in tabled(at, where, files=("train.json",)))
    pairs = filed(
        at,
        where,
        files=QUESTIONS,
        image="image_filename",
        key="questions",
        row_id=lambda cells: _row(cells, None, None).id,
    )
    if not scenes:
        return (_row(cells, image, None) for cells, image in pairs)
    place = place_of(at, path=path, hf=hf, revision=revision)
    try:
        listed = rows_of(at, place, SCENES, key="scenes")
    except SetupError as exc:
        raise SetupError(f"{exc}; without it, set scenes = false") from exc
    return _with_scenes(pairs, listed)


def _with_scenes(pairs: Iterator[Pair], scenes: Iterator[Mapping[str, Any]]) -> Iterator[Row]:
    described = ((str(scene.get("image_filename")), scene_text(scene)) for scene in scenes)
    with Texts(described) as texts:
        for cells, image in pairs:
            yield _row(cells, image, texts.find(PurePosixPath(str(cells.get("image_filename"))).name))


def _row(cells: Mapping[str, Any], image: Any, notes: str | None) -> Row:  # noqa: ANN401 - as the set has it
    if "conversations" in cells:
        question, answer = first_turn(cells)
        question, answer = bare(question), _SAID.sub("", answer).removesuffix(".")
        name = str(cells.get("id") or "")
    else:
        question, answer = str(cells.get("question") or ""), str(cells.get("answer", ""))
        name = str(cells.get("image_filename") or "")
    return Row(
        id=tagged(PurePosixPath(name).stem, question),
        image=image,
        question=question,
        answer=answer,
        answer_type="digit",
        notes=notes or "",
    )


def scene_text(scene: Mapping[str, Any]) -> str:
    """Put a scene's objects into words, as they were given to the program that drew it."""
    objects = [
        " ".join(str(thing.get(part)) for part in ("size", "color", "material", "shape"))
        for thing in scene.get("objects") or ()
    ]
    if not objects:
        return ""
    return f"The scene was drawn from this list of {len(objects)} objects: {'; '.join(objects)}."
