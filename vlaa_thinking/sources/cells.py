"""The cells of a table, whatever it was read from: as text, as a list, as boxes, as one image."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from vlaa_thinking.record import Fault

if TYPE_CHECKING:
    from vlaa_thinking.record import Box

Cells = Mapping[str, Any]
"""One row of a table, by column."""

BoxForm = Literal["xyxy", "xywh"]
"""Left, top, right, bottom; or left, top, width, height."""

NO_BOX: Box = (-1.0, -1.0, -1.0, -1.0)
"""What takes the place of a box that is none: `collect` drops the row for its answer."""

_BASE64 = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "Qk", "SUkqA", "TU0AK")
"""How PNG, JPEG, GIF, WebP, BMP and TIFF begin in base64."""


def cell(cells: Cells, column: str) -> Any:  # noqa: ANN401 - any cell
    """Return a row's cell; "meta.rationale" is a cell inside one."""
    if column in cells:
        return cells[column]
    value: Any = cells
    for part in column.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def text(value: Any) -> str:  # noqa: ANN401 - any cell
    """Write a cell as text; a list or an object as JSON, what is missing as nothing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return value.encode(errors="replace").decode().strip()  # JSON may hold half of a surrogate pair
    if isinstance(value, (list, dict)):
        return text(json.dumps(value, ensure_ascii=False, default=str))
    return str(value)


def items(value: Any) -> list[Any]:  # noqa: ANN401 - any cell
    """Read a cell as a list: one, its JSON, an object's values, or texts parted by bars."""
    if value is None or value == "":
        return []
    if isinstance(value, str):
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = None
        if isinstance(parsed, (list, dict)):
            return items(parsed)
        return [part.strip() for part in value.split("|")]
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, (list, tuple)) else [value]


def boxes(value: Any, form: BoxForm = "xyxy") -> tuple[Box, ...]:  # noqa: ANN401 - any cell
    """Read a cell as boxes: one of four numbers, or a list of such."""
    found = items(value)
    if found and not isinstance(found[0], (list, tuple)):
        found = [found]
    return tuple(_box(one, form) for one in found)


def _box(value: Any, form: BoxForm) -> Box:  # noqa: ANN401 - any cell
    try:
        left, top, right, bottom = (float(v) for v in value)
    except (TypeError, ValueError):
        return NO_BOX
    return (left, top, left + right, top + bottom) if form == "xywh" else (left, top, right, bottom)


def one_image(value: Any) -> Any:  # noqa: ANN401 - any cell
    """Return a cell's one image; a row with several is a fault, since questions here are on one."""
    if not isinstance(value, (list, tuple)):
        return value
    found = [image for image in value if image not in (None, "")]
    if len(found) > 1:
        return Fault(
            code="several_images", reason=f"the row has {len(found)} images, and a question here has one"
        )
    return found[0] if found else None


def decoded(value: str) -> bytes | None:
    """Decode an image that is written in base64, as a data URL or bare; None if the text is none."""
    start = value[:64]
    if start.startswith("data:"):
        head, _, body = value.partition(",")
        if not head.endswith(";base64"):
            return None
    elif len(value) > 64 and start.startswith(_BASE64):
        body = value
    else:
        return None
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
