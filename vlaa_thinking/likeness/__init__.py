"""Near-duplicates: the same image resized, encoded anew, or with a little cut off its sides.

Every image gets a *fingerprint* when it is checked: how grey it is, cell by cell, and how far a small crop would move
that. Fingerprints that come near only propose a pair (`proposals`); a comparison of the two images decides
(`comparison`), for forms, tables and plots of one layout have nearly the same fingerprint and are not the same. What
was decided is stored, so a rebuild decodes nothing (`twins`).
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

CELLS = 16
"""Cells of a fingerprint from side to side, whatever the image's shape: 256 bytes, and one for its reach."""

CROP = 0.02
"""The share of each side that may be cut off."""

FLAT = 3
"""Levels from a fingerprint's darkest to its brightest cell, below which it tells nothing."""

_THUMB = 64
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""EXIF orientations, by Pillow's numbers of what undoes them."""


_CUT, _KEPT = _THUMB * CROP, _THUMB * (1 - CROP)
_CROPS = (
    (0.0, 0.0, _THUMB, _THUMB),
    (_CUT, _CUT, _KEPT, _KEPT),
    (_CUT, _CUT, _THUMB, _THUMB),
    (0.0, _CUT, _KEPT, _THUMB),
    (_CUT, 0.0, _THUMB, _KEPT),
    (0.0, 0.0, _KEPT, _KEPT),
)
"""The whole, and what a crop of all sides, or of the two at a corner, leaves of it."""


def fingerprint(image: Image, orientation: int = 1) -> str:
    """Take the fingerprint of a decoded image, in base64: CELLS x CELLS grey levels, and its reach in half levels.

    The reach is how far, root mean square, a crop of `CROP` at the worst of its sides and corners moves the levels.
    `orientation` is EXIF's: images are alike if they are seen alike. "" for an image of a single colour: it is like any
    other of that colour, and known by its bytes alone.
    """
    import numpy as np  # noqa: PLC0415 - heavy
    from PIL.Image import Resampling, Transpose  # noqa: PLC0415 - heavy

    small = image.convert("L").resize((_THUMB, _THUMB), Resampling.HAMMING, reducing_gap=2.0)
    if orientation != 1:
        small = small.transpose(Transpose(_TURNS[orientation]))
    # A kernel that keeps to its band: where a little is cut off the sides, the levels change smoothly with it.
    views = [small.resize((CELLS, CELLS), Resampling.LANCZOS, box=box).tobytes() for box in _CROPS]
    levels = np.frombuffer(b"".join(views), np.uint8).reshape(len(views), -1).astype(np.int64)
    if np.ptp(levels[0]) < FLAT:
        return ""
    moved = ((levels[1:] - levels[0]) ** 2).mean(1).max() ** 0.5
    return base64.b64encode(views[0] + bytes([min(255, int(np.ceil(2 * moved)))])).decode()
