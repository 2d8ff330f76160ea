"""Near-duplicates: the same image resized, encoded anew, or with a little cut off its sides.

Every image gets a *fingerprint* when it is checked: how grey it is, cell by cell, and how far a small crop would move
that. Fingerprints that come near only propose a pair (`proposals`); a comparison of the two images decides
(`comparison`), for forms, tables and plots of one layout have nearly the same fingerprint and are not the same. What
was decided is stored, so a rebuild decodes nothing (`twins`).
"""

from __future__ import annotations

import base64
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
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


_SPANS = ((0.0, 1.0), (CROP, 1 - CROP), (CROP, 1.0), (0.0, 1 - CROP))
"""What of a side is left: all of it, less at both its ends, or at one of them."""
_ACROSS, _DOWN = (0, 1, 2, 3, 2, 3), (0, 1, 2, 2, 3, 3)
"""By their spans: the whole, and what a crop of all sides, or of the two at a corner, leaves of it."""
_LOBES = 3


@cache
def _kernel() -> NDArray[np.float64]:
    """Return what shrinks a side of `_THUMB` levels to `CELLS` by Lanczos' kernel, for each of `_SPANS`, one above the other.

    A kernel that keeps to its band: where a little is cut off the sides, the levels change smoothly with it. The
    weights are whole multiples of 2^-12, so that sums of them are exact, and the same on every machine.
    """
    import numpy as np  # noqa: PLC0415 - heavy

    spans = np.array(_SPANS) * _THUMB
    width = (spans[:, 1] - spans[:, 0])[:, None] / CELLS
    middle = spans[:, :1] + (np.arange(CELLS) + 0.5) * width
    away = (np.arange(_THUMB) + 0.5 - middle[..., None]) / width[..., None]
    weights = np.where(np.abs(away) < _LOBES, np.sinc(away) * np.sinc(away / _LOBES), 0)
    weights /= weights.sum(-1, keepdims=True)
    return np.round(weights.reshape(-1, _THUMB) * 4096) / 4096


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
    grey = np.frombuffer(small.tobytes(), np.uint8).reshape(_THUMB, _THUMB)
    narrow = np.clip(np.floor(grey @ _kernel().T + 0.5), 0, 255)
    shrunk = np.clip(np.floor(_kernel() @ narrow + 0.5), 0, 255)
    views = shrunk.reshape(len(_SPANS), CELLS, len(_SPANS), CELLS)[_DOWN, :, _ACROSS].reshape(len(_DOWN), -1)
    if np.ptp(views[0]) < FLAT:
        return ""
    moved = ((views[1:] - views[0]) ** 2).mean(1).max() ** 0.5
    reach = min(255, int(np.ceil(2 * moved)))
    return base64.b64encode(bytes([*views[0].astype(np.uint8).tobytes(), reach])).decode()
