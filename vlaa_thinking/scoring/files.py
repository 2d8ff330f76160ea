"""What `score` reads: a file of predictions, and the rows of a dataset folder without their images."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlaa_thinking.dataset import CONFIGS
from vlaa_thinking.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REPLIES = ("completion", "response", "prediction")
"""The keys that a line may hold its text under; one of them."""

COLUMNS = ("id", "source", "answer", "answer_type", "answers", "choices", "boxes", "decided_by")
"""What is read of a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of predictions."""

    id: str
    reply: object
    """A text, or a conversation as TRL and `datasets` hold it."""
    may_be_bare: bool
    """Whether the text may be the answer alone."""


def read_lines(path: Path) -> list[Line]:
    """Read a JSON Lines file of predictions; raises `SetupError` naming the line that is wrong."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise SetupError(f"{path} cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise SetupError(f"{path} is no UTF-8 text: give a JSON Lines file") from exc
    numbered = enumerate(text.split("\n"), 1)
    lines = [_line(one, f"{path}, line {number}") for number, one in numbered if one.strip()]
    if not lines:
        raise SetupError(f"{path} holds no predictions")
    return lines


def _line(text: str, place: str) -> Line:
    try:
        values: object = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise SetupError(f"{place}: this is no JSON ({exc}); each line is an object") from exc
    if not isinstance(values, dict) or not isinstance(values.get("id"), str):
        raise SetupError(f'{place}: this is no object with a text under "id"')
    held = [key for key in REPLIES if key in values]
    if len(held) != 1:
        wanted = '", "'.join(REPLIES)
        what = f'"{held[0]}" and "{held[1]}" are both there' if held else f'there is none of "{wanted}"'
        raise SetupError(f"{place}: {what}; give one")
    reply = values[held[0]]
    if not isinstance(reply, (str, list)):
        raise SetupError(f'{place}: "{held[0]}" is neither a text nor a list of turns')
    return Line(id=values["id"], reply=reply, may_be_bare=held[0] == "prediction")


def read_rows(folder: Path, *, images: bool) -> dict[str, dict[str, Any]]:
    """Read every row but the rejected ones, by id; with `images`, a row's `size` is its image's in pixels.

    Raises `SetupError` for a folder that holds none.
    """
    files = [
        file for config, parts in CONFIGS.items() if config != "rejected"
        for part in parts for file in sorted(folder.glob(f"{config}/{part}-*.parquet"))
    ]  # fmt: skip
    if not files:
        what = "holds no Parquet files of sft or rl" if folder.is_dir() else "is no folder"
        raise SetupError(f"{folder} {what}: name a dataset folder, as `vlaa-thinking build` writes it")
    return {row["id"]: row for file in files for row in _rows(file, images=images)}


def _rows(file: Path, *, images: bool) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq  # noqa: PLC0415 - heavy
    from pyarrow import ArrowException  # noqa: PLC0415

    try:
        # What is buffered ahead is kept until the end: a kilobyte and more a row.
        with pq.ParquetFile(file, pre_buffer=False) as parquet:
            lacking = [
                name for name in ("id", "answer", "answer_type") if name not in parquet.schema_arrow.names
            ]
            if lacking:
                raise SetupError(
                    f"{file} has no column {lacking[0]}: it was not made by `vlaa-thinking build`"
                )
            names = [name for name in COLUMNS if name in parquet.schema_arrow.names]
            for batch in parquet.iter_batches(100, columns=[*names, "image"] if images else names):
                for row in batch.to_pylist():
                    yield {**row, "size": _size(row.pop("image"))} if images else row
    except (OSError, ArrowException) as exc:
        raise SetupError(f"{file} cannot be read as Parquet: {exc}") from exc


def _size(image: dict[str, Any] | None) -> tuple[int, int] | None:
    """Return the width and height of an embedded image; its pixels are not decoded."""
    from PIL import Image  # noqa: PLC0415 - heavy

    if not image or not image.get("bytes"):
        return None
    with Image.open(io.BytesIO(image["bytes"])) as opened:
        return opened.size
