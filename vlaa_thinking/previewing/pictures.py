"""Images made small enough that a page can hold hundreds of them."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import TYPE_CHECKING

from vlaa_thinking.images import check, upright
from vlaa_thinking.record import Fault

if TYPE_CHECKING:
    from PIL.Image import Image

SIDES = ((720, 80), (640, 70), (560, 62), (480, 55), (400, 48), (320, 42), (240, 35), (160, 28), (120, 20))
"""Longest side in pixels and quality, from the first that is tried to the last."""

DRAWN = 4096
"""Colours up to which an image counts as drawn: it is then kept exact, if that takes no more room."""


def small(data: bytes, most: int) -> str:
    """Encode an image anew in at most `most` bytes, as a data URI; "" for what is no sound image.

    Photographs lose what they must, size and sharpness together; metadata goes. An image that would not fit even as
    the last of `SIDES` is left out, too.
    """
    if isinstance(check(data, hashlib.sha256(data).hexdigest()), Fault):
        return ""
    picture = upright(data, SIDES[0][0])
    if picture.getcolors(DRAWN) is not None:
        exact = _webp(picture, lossless=True, quality=60)
        if len(exact) <= most:
            return _uri(exact)
    first = 0
    for side, quality in SIDES:
        if first * (side / SIDES[0][0]) ** 2 > 4 * most and side > SIDES[-1][0]:
            continue  # far too large still: not worth a try
        picture.thumbnail((side, side))
        encoded = _webp(picture, lossless=False, quality=quality)
        if len(encoded) <= most:
            return _uri(encoded)
        first = first or len(encoded)
    return ""


def _webp(picture: Image, *, lossless: bool, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", lossless=lossless, quality=quality, method=2)
    return buffer.getvalue()


def _uri(encoded: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(encoded).decode()}"
