"""A contact sheet: the images of some rows side by side, each with its row's id."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from vlaa_thinking.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image as PillowImage

    from vlaa_thinking.record import Row

SIDE = 240
"""Pixels of a picture's longer side."""

ACROSS = 5
_GAP, _LINE = 10, 16


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw the sheet of some rows into a file; raises `SetupError` where it cannot be written."""
    from PIL import Image, ImageDraw  # noqa: PLC0415 - heavy

    across = min(ACROSS, len(rows))
    cell = SIDE + _GAP, SIDE + _LINE + _GAP
    sheet = Image.new("RGB", (across * cell[0] + _GAP, -(-len(rows) // across) * cell[1] + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for number, row in enumerate(rows):
        left = _GAP + number % across * cell[0]
        top = _GAP + number // across * cell[1]
        picture = _small(row)
        if picture is None:
            pen.rectangle((left, top, left + SIDE, top + SIDE), outline="gray")
            pen.text((left + _GAP, top + SIDE // 2), "no image", fill="gray")
        else:
            sheet.paste(picture, (left + (SIDE - picture.width) // 2, top + (SIDE - picture.height) // 2))
        pen.text((left, top + SIDE), _fitting(row.id or f"row {number + 1}"), fill="black")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path)
    except (OSError, ValueError) as exc:
        raise SetupError(f"the contact sheet {path} cannot be written: {exc}; name another file") from exc


def _small(row: Row) -> PillowImage | None:
    from PIL import Image, ImageOps  # noqa: PLC0415 - heavy

    if not isinstance(row.image, (Path, bytes)):
        return None
    try:
        with Image.open(io.BytesIO(row.image) if isinstance(row.image, bytes) else row.image) as opened:
            opened.draft("RGB", (2 * SIDE, 2 * SIDE))
            picture = ImageOps.exif_transpose(opened).convert("RGB")
    except Exception:  # noqa: BLE001 - Pillow raises many kinds; the sheet says that there is no image
        return None
    picture.thumbnail((SIDE, SIDE))
    return picture


def _fitting(name: str) -> str:
    """Shorten an id to what fits below a picture."""
    most = SIDE // 6
    return name if len(name) <= most else f"{name[: most - 3]}..."
