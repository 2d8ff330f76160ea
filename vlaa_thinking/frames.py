"""Boxes as a base model writes them; a dataset's rows hold them as shares of the image's sides.

A model that learnt its boxes in another frame is asked in that frame, taught in it, and rewarded in it
(`MixedReward(frame=..., resized=...)`): otherwise a right box earns nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from vlaa_thinking.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from datasets import Dataset

    from vlaa_thinking.record import Frame

Turns = list[dict[str, str]]
"""A conversation: role and content of each turn."""

Size = tuple[int, int]
"""Width and height in pixels."""

FRAMES: Mapping[str, Frame] = {
    "qwen2_vl": "thousand",
    "qwen2_5_vl": "pixels",
    "qwen3_vl": "thousand",
    "qwen3_vl_moe": "thousand",
}
"""In which frame a family of models learnt to write boxes, by the `model_type` of its config."""

_BOX = "Answer with the bounding box as [x1, y1, x2, y2]: left, top, right and bottom, "
INSTRUCTIONS: Mapping[Frame, str] = {
    "thousand": f"{_BOX}as whole numbers between 0 and 1000, where 1000 is the width or the height of the image.",
    "pixels": f"{_BOX}in whole pixels of the image as you see it.",
}
"""What takes the place of the dataset's own instruction; the frame `unit` is the dataset's own."""


def frame_of(model_type: str) -> Frame:
    """Return the frame of a family of models; of one that is not known, the dataset's own, which its prompts explain."""
    return FRAMES.get(model_type, "unit")


def seen_by(image_processor: Any) -> Callable[[int, int], Size]:  # noqa: ANN401 - transformers is untyped
    """Return the function from an image's width and height to those that a model of Qwen's family sees.

    The processor itself is asked, once for each size, so that its limits on pixels hold whatever they are.
    Raises `SetupError` for a processor that cuts images otherwise.
    """

    @cache
    def resized(width: int, height: int) -> Size:
        from PIL import Image  # noqa: PLC0415 - heavy

        made = image_processor(images=[Image.new("RGB", (width, height))], return_tensors="np")
        if "image_grid_thw" not in made:
            name = type(image_processor).__name__
            raise SetupError(
                f"boxes in pixels are for models of Qwen's family: {name} tells no size of its own"
            )
        _, rows, columns = map(int, made["image_grid_thw"][0])
        return columns * image_processor.patch_size, rows * image_processor.patch_size

    return resized


def in_frame(rows: Dataset, frame: Frame, resized: Callable[[int, int], Size] | None = None) -> Dataset:
    """Return rows whose prompts ask for boxes in `frame`, and whose completions, if there are any, give them so.

    Only rows of the type `iou` change; every other column stays. `resized` is needed for completions in pixels.
    """
    from datasets import Dataset, concatenate_datasets  # noqa: PLC0415 - heavy

    if frame == "unit" or "iou" not in rows.unique("answer_type"):
        return rows
    texts = [name for name in ("prompt", "completion") if name in rows.column_names]
    few = rows.select_columns([*texts, "question", "answer_type", "boxes"])
    each = cast(Iterable[dict[str, Any]], few)  # its own annotations take a row for a list
    changed = []
    for place, row in enumerate(each):
        new = {name: row[name] for name in texts}
        if row["answer_type"] == "iou":
            new["prompt"] = asked_in(frame, row["prompt"], row["question"])
        if row["answer_type"] == "iou" and "completion" in new:
            size = resized(*rows[place]["image"].size) if frame == "pixels" and resized else None
            new["completion"] = answered_in(frame, row["completion"], row["boxes"], size)
        changed.append(new)
    features = rows.select_columns(texts).features
    return concatenate_datasets(
        [rows.remove_columns(texts), Dataset.from_list(changed, features=features)], axis=1
    )


def asked_in(frame: Frame, prompt: Turns, question: str) -> Turns:
    """Put the frame's instruction in the place of the one that follows the question."""
    *before, user = prompt
    if not user["content"].startswith(question):
        raise SetupError(
            f'the prompt of the question "{question[:60]}" does not begin with it: was it changed?'
        )
    return [*before, {**user, "content": f"{question}\n{INSTRUCTIONS[frame]}"}]


def answered_in(
    frame: Frame, completion: Turns, boxes: Sequence[Sequence[float]], size: Size | None = None
) -> Turns:
    """Give the answer in the frame, after a last sentence of the reasoning that says so.

    `size` is what the model sees of the image, for `pixels`. The reasoning itself stays: it may speak of the boxes
    in any frame.
    """
    if frame == "pixels" and size is None:
        raise SetupError("boxes in pixels need the size of the image that the model sees")
    width, height = size if frame == "pixels" and size else (1000, 1000)
    answer = written(boxes, width, height)
    said = (
        f"In pixels of the image, {width} wide and {height} high, that is {answer}."
        if frame == "pixels"
        else f"Out of 1000 for each side, that is {answer}."
    )
    thought = completion[-1]["content"].rpartition("</think>")[0]
    text = f"{thought}\n{said}</think>\n<answer>{answer}</answer>"
    return [*completion[:-1], {**completion[-1], "content": text}]


def written(boxes: Sequence[Sequence[float]], width: int, height: int) -> str:
    """Write boxes, given as shares, in whole numbers of a frame of this size: "[12, 30, 200, 140]"."""
    sides = (width, height, width, height)
    each = [
        f"[{', '.join(str(round(n * side)) for n, side in zip(box, sides, strict=True))}]" for box in boxes
    ]
    return each[0] if len(each) == 1 else f"[{', '.join(each)}]"
