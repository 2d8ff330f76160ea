"""The finer comparison: lay one image over the other as well as may be, and see what still differs, block by block.

Both are brought to squares, first small, then larger as long as they look alike: most pairs are told apart at a glance,
and only what seems to be the same is looked at closely.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from PIL.Image import Image

    Array = NDArray[np.float32]
    Look = Callable[[int], Array]

ROUNDS = {32: 3, 64: 4, 128: 3, 256: 2, 512: 1}
"""The sides in pixels at which images are compared, and how often the fit is improved at each.

The last is at the most that of the smaller image: a larger square shows no more.
"""

HOPELESS = {32: 0.12, 64: 0.12, 128: 0.22, 256: 0.35}
"""Who differs by more at a side that is not the last is not looked at again: at a small one, twins differ by less."""

COLOURED = 64
"""The side at which colours are compared, too."""

REACH = 0.028
"""How far, as a share of a side, an edge of one image may lie from the other's: two per cent, and what measuring adds."""

BLOCK = 8
"""Pixels from side to side of the blocks that are held against each other."""

NOISE = 150.0
"""The variance in squared levels that a block may have from its encoding alone."""

LIMIT = 0.35
"""Twins differ by no more in any block: near 0 is the same, from 1 up a block shows what the other lacks."""


def squares(image: Image) -> Look:
    """Return a function that brings an image, in RGB, to a square of a side: three planes up to COLOURED, grey above."""
    from PIL.Image import Resampling  # noqa: PLC0415 - heavy

    def look(side: int) -> Array:
        small = image.resize((side, side), Resampling.LANCZOS, reducing_gap=2.0)
        if side > COLOURED:
            return np.asarray(small.convert("L"), np.float32)[None]
        return np.moveaxis(np.asarray(small.convert("YCbCr"), np.float32), 2, 0)

    return look


def difference(one: Look, other: Look, smallest: int) -> float:
    """Say how much two images differ where they differ most; up to LIMIT they are twins.

    `smallest` is the shortest of their sides in pixels: they are not compared at a larger one.
    """
    edges = np.zeros(4, np.float32)
    worst = 0.0
    finest = max(smallest // BLOCK * BLOCK, COLOURED)
    for step, rounds in ROUNDS.items():
        side = min(step, finest)
        a, b = one(side), other(side)
        edges = _fitted(a[0], b[0], edges, rounds)
        worst = _worst(a, _laid(b, edges))
        if step >= finest:
            break
        if worst > HOPELESS[step]:
            return max(worst, 1.0)
    return worst


def _fitted(one: Array, other: Array, edges: Array, rounds: int) -> Array:
    """Improve by how much the edges (left, right, top, bottom) of `other` are to be moved for it to lie over `one`.

    Least squares by Gauss and Newton: cutting and scaling move what an image shows by no more than these four.
    """
    side = len(one)
    inner = slice(int(REACH * side) + 1, -int(REACH * side) - 1)
    place = (np.arange(side, dtype=np.float32) + 0.5) / side
    for _ in range(rounds):
        laid = _laid(other, edges)
        down, across = np.gradient(laid)
        ways = np.stack(
            [across * (1 - place), across * place, down * (1 - place)[:, None], down * place[:, None]]
        )
        flat = ways[:, inner, inner].reshape(4, -1) * side
        left = (one - laid)[inner, inner].ravel()
        spread = flat @ flat.T
        spread += np.eye(4, dtype=np.float32) * (1e-4 * np.trace(spread) + 1)
        step = np.linalg.solve(spread, flat @ left).astype(np.float32)
        moved = edges + np.clip(step, -1.5 / side, 1.5 / side)
        edges = np.clip(moved, -REACH, REACH).astype(np.float32)
    return edges


def _laid(planes: Array, edges: Array) -> Array:
    """Move the edges of a square plane, or of several."""
    for axis, (first, last) in ((-1, edges[:2]), (-2, edges[2:])):
        index, weight = taps(planes.shape[-1], first, last)
        shape = (-1, 1) if axis == -2 else (-1,)
        read = [planes.take(at, axis) * share.reshape(shape) for at, share in zip(index, weight, strict=True)]
        planes = read[0] + read[1] + read[2] + read[3]
    return planes


def taps(side: int, first: float, last: float) -> tuple[NDArray[np.intp], Array]:
    """Say how a row of pixels is read with its edges moved by shares of it: 4 pixels for each, and their weights.

    The weights are those of Keys's cubic kernel.
    """
    place = (np.arange(side, dtype=np.float32) + 0.5) / side
    at = np.clip((first + (1 + last - first) * place) * side - 0.5, 0, side - 1)
    index = np.floor(at).astype(np.intp) + np.arange(-1, 3)[:, None]
    x = np.abs(at - index)
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.clip(index, 0, side - 1), np.where(x <= 1, near, far).astype(np.float32)


def _worst(one: Array, other: Array) -> float:
    """Hold planes against each other: the squared difference over all that varies, in the block where it is largest."""
    side = one.shape[1]
    start = int(REACH * side) + 1
    start += (side - 2 * start) % BLOCK // 2
    count = (side - 2 * start) // BLOCK
    a, b = (_blocks(_soft(planes)[:, start:, start:], count) for planes in (one, other))
    varies = a.var(-1) + b.var(-1) + NOISE
    return float((((a - b) ** 2).mean(-1) / varies).max())


def _blocks(planes: Array, count: int) -> Array:
    size = count * BLOCK
    cut = planes[:, :size, :size].reshape(-1, count, BLOCK, count, BLOCK)
    return cut.swapaxes(2, 3).reshape(-1, count, count, BLOCK * BLOCK)


def _soft(planes: Array) -> Array:
    """Smooth a little, so that an edge half a pixel away is no difference."""
    for axis in (1, 2):
        around = np.roll(planes, 1, axis) + np.roll(planes, -1, axis)
        planes = (planes / 2 + around / 4).astype(np.float32)
    return planes
