"""Which pairs of images may be twins: those whose fingerprints lie within each other's reach.

Every fingerprint is held against every other that is about as bright, a block of them at a time: the distances of a
block are one product of matrices, exact in whole numbers, so that no machine decides otherwise.
"""

from __future__ import annotations

import base64
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from vlaa_thinking.likeness import CELLS
from vlaa_thinking.likeness.comparison import taps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    Levels = NDArray[np.uint8]
    Places = NDArray[np.intp]
    Array = NDArray[np.float32]

NEAREST = 8
"""So many others are proposed to an image at most, in each of two rankings: one layout may have ten thousand forms."""

AROUND = 8
"""So many of them show what an image in a crowd shares with others."""

NOISE = 2.0
"""Levels, root mean square, by which encoding and scaling may move a fingerprint."""

ROOM = 1.2
"""How much farther than its reach an image may have moved."""

BLOCK = 1024
"""Fingerprints that are held against a block at once."""


def _moves() -> Array:
    """Return 4 matrices that turn a fingerprint into its change where a side is cut off: left, right, top, bottom."""
    place = ((np.arange(CELLS) + 0.5) / CELLS)[:, None]
    slope = (_shifted(0.3) - _shifted(-0.3)) / 0.6
    along, still = (slope * (1 - place), slope * place), np.eye(CELLS)
    return np.stack([np.kron(still, m) for m in along] + [np.kron(m, still) for m in along]).astype(
        np.float32
    )


def _shifted(cells: float) -> Array:
    """Return the matrix that reads a row of cells so many cells farther on."""
    index, weight = taps(CELLS, cells / CELLS, cells / CELLS)
    matrix = np.zeros((CELLS, CELLS), np.float32)
    for at, share in zip(index, weight, strict=True):
        np.add.at(matrix, (np.arange(CELLS), at), share)
    return matrix


MOVES = _moves()


def gathered(fingerprints: Iterable[tuple[str, str]]) -> tuple[list[str], Levels]:
    """Put names and their fingerprints in order of brightness; returns them, and the fingerprints, an image a row."""
    names: list[str] = []
    data = bytearray()
    for name, fingerprint in fingerprints:
        if fingerprint:
            names.append(name)
            data += base64.b64decode(fingerprint)
    table = np.frombuffer(data or b"", np.uint8).reshape(len(names), CELLS * CELLS + 1)
    brightness = table[:, :-1].sum(1, dtype=np.int64)
    order = sorted(range(len(names)), key=lambda place: (brightness[place], names[place]))
    return [names[place] for place in order], table[order]


def propose(table: Levels, between: Callable[[], None]) -> Iterator[tuple[int, int]]:
    """Give the pairs that may be twins, by their places in a gathered table, the lower first; some come twice.

    Of an image in a crowd only the nearest are proposed, in two rankings. In the first, what a crop would move is
    projected out. But in a crowd of one layout those that were cropped or scaled alike lie together; so in the second
    each image counts without what it shares with those around it. `between` may raise to end it.
    """
    levels = table[:, :-1]
    crowd: list[int] = []
    own: list[NDArray[np.int8]] = []
    for row, others in _within(table, between):
        if len(others) > NEAREST:
            nearest = others[_nearest(levels[row], levels[others])]
            around = levels[nearest[:AROUND]].mean(0, dtype=np.float32)
            crowd.append(row)
            own.append(np.clip(np.round(2 * (levels[row] - around)), -127, 127).astype(np.int8))
            yield from _pairs(row, nearest)
        else:
            yield from _pairs(row, others)
    places, alone = np.array(crowd, np.intp), np.array(own, np.int8)
    for row, others in _within(table[places], between):
        gap = alone[others].astype(np.float32) - alone[row]
        nearest = np.argsort(np.einsum("ij,ij->i", gap, gap), kind="stable")[:NEAREST]
        yield from _pairs(crowd[row], places[others[nearest]])


def _pairs(row: int, others: Places) -> Iterator[tuple[int, int]]:
    return ((min(row, other), max(row, other)) for other in others.tolist())


def _within(table: Levels, between: Callable[[], None]) -> Iterator[tuple[int, Places]]:
    """Give each image that has others within reach, with these: the squared distance is at most both limits' mean."""
    levels = table[:, :-1]
    brightness = levels.sum(1, dtype=np.int64)
    limits = (ROOM * table[:, -1] / 2 + NOISE) ** 2 * CELLS**2
    length = np.einsum("ij,ij->i", levels, levels, dtype=np.int64) - limits / 2
    widest = CELLS * np.sqrt(limits.max(initial=0))  # fingerprints are no nearer than their mean levels
    for start in range(0, len(table), BLOCK):
        between()
        end = min(start + BLOCK, len(table))
        reach = np.searchsorted(brightness, [brightness[start] - widest, brightness[end - 1] + widest])
        rows = levels[start:end].astype(np.float32)
        found = []
        for at in range(reach[0], reach[1], BLOCK):
            others = levels[at : min(at + BLOCK, reach[1])].astype(np.float32)
            # Whole numbers up to 2 ** 24: single precision is exact.
            near = 2 * (rows @ others.T) >= length[start:end, None] + length[None, at : at + len(others)]
            found.append(np.argwhere(near) + np.array([start, at]))
        pairs = np.concatenate(found)
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
        bounds = np.searchsorted(pairs[:, 0], range(start, end + 1)).tolist()
        for row, (first, last) in enumerate(pairwise(bounds), start):
            if first < last:
                yield row, pairs[first:last, 1]


def _nearest(one: Levels, others: Levels) -> Places:
    """Choose the nearest, by the distance that is left where the one may be cropped.

    It is the tangent distance of Simard, LeCun and Denker.
    """
    ways, _ = np.linalg.qr((MOVES @ one.astype(np.float32)).T)
    left = others.astype(np.float32) - one
    left -= (left @ ways) @ ways.T
    chosen: Places = np.argsort(np.round(np.einsum("ij,ij->i", left, left)), kind="stable")[:NEAREST]
    return chosen
