"""Twins: fingerprints propose, the images themselves decide, and what they decide is stored."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from vlaa_thinking.images import upright
from vlaa_thinking.likeness.comparison import COLOURED, LIMIT, difference, squares
from vlaa_thinking.likeness.proposals import gathered, propose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray
    from PIL.Image import Image

    from vlaa_thinking.cache import Cache
    from vlaa_thinking.images import ImageStore

VERSION = 1
"""Of fingerprint and comparison: what another version decided is not used."""

LARGEST = 1024
"""Pixels to which the longer side of an image is brought before it is compared."""

HELD = 256
"""The side at which images are kept at hand, in grey; 64 KB each."""

AT_HAND = 128
"""Images that are kept at hand: 8 MB."""

GLANCES = 1024
"""Images that are kept at hand at the side that most pairs are told apart at, COLOURED: 12 MB."""

LOT = 64
"""Pairs that are decided between two writes."""


def twins(
    fingerprints: Iterable[tuple[str, str]],
    images: ImageStore,
    cache: Cache,
    *,
    between: Callable[[], None] = lambda: None,
    compared: Callable[[int], None] = lambda _: None,
) -> Iterator[tuple[str, str]]:
    """Give the pairs of twins among stored images, each image given once, by its hash, with its fingerprint.

    Some pairs come twice. `between` is called now and then, and may raise to end it: what was decided is stored.
    `compared` hears of how many more pairs that is.
    """
    names, table = gathered(fingerprints)
    gallery = _Gallery(images)
    proposed = propose(table, between)
    while lot := list(islice(proposed, LOT)):
        between()
        pairs = {tuple(sorted((names[one], names[other]))): None for one, other in lot}
        new: dict[bytes, float] = {}
        for first, second in pairs:
            key = bytes.fromhex(first) + bytes.fromhex(second)
            apart = cache.difference(VERSION, key)
            if apart is None:
                apart = new[key] = gallery.apart(first, second)
            if apart <= LIMIT:
                yield first, second
        cache.put_differences(VERSION, new)
        compared(len(pairs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """Which images of a build are near-duplicates."""

    groups: dict[str, str]
    """For each that is one of another in the build: the lowest hash in its group."""
    near: dict[str, set[str]]
    """For each that is one of another outside: the hashes of these."""


def related(
    mine: Iterable[tuple[str, str]],
    outside: Mapping[str, str],
    images: ImageStore,
    cache: Cache,
    *,
    between: Callable[[], None] = lambda: None,
    compared: Callable[[int], None] = lambda _: None,
) -> Related:
    """Hold the images of a build against each other, and against others outside it, by hash and fingerprint."""
    both: set[str] = set()

    def every() -> Iterator[tuple[str, str]]:
        for name, fingerprint in mine:
            if name in outside:
                both.add(name)
            yield name, fingerprint
        yield from ((name, fingerprint) for name, fingerprint in outside.items() if name not in both)

    within: list[tuple[str, str]] = []
    near: dict[str, set[str]] = {}
    for pair in twins(every(), images, cache, between=between, compared=compared):
        strangers = [name for name in pair if name in outside and name not in both]
        if not strangers:
            within.append(pair)
        for name, other in (pair, pair[::-1]):
            if other in outside and name not in strangers:
                near.setdefault(name, set()).add(other)
    return Related(groups=grouped(within), near=near)


def grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Join twins, and twins of twins, to groups; returns for each image of one the lowest hash in it."""
    above: dict[str, str] = {}

    def top(name: str) -> str:
        while (higher := above.setdefault(name, name)) != name:
            above[name] = name = above[higher]
        return name

    for one, other in pairs:
        low, high = sorted((top(one), top(other)))
        above[high] = low
    return {name: top(name) for name in list(above)}


def counted(groups: Mapping[str, str]) -> dict[str, int]:
    """Count the images that are near-duplicates of others, and the groups that they are in."""
    return {"images": len(groups), "groups": len(set(groups.values()))}


class _Gallery:
    """Stored images, each at the sides that a comparison asks for."""

    def __init__(self, images: ImageStore) -> None:
        self._images = images
        self._glance = lru_cache(GLANCES)(self._read_glance)
        self._closely = lru_cache(AT_HAND)(self._read_closely)

    def apart(self, first: str, second: str) -> float:
        """Say how much two images differ."""
        smallest = min(self._glance(first)[1], self._glance(second)[1])
        return round(difference(partial(self._look, first), partial(self._look, second), smallest), 3)

    def _look(self, name: str, side: int) -> NDArray[np.float32]:
        if side in (COLOURED, COLOURED // 2):
            return _brought_to(side, self._glance(name)[0])
        if side in (HELD, HELD // 2):
            return _brought_to(side, self._closely(name))
        return squares(self._image(name))(side)

    def _read_glance(self, name: str) -> tuple[NDArray[np.uint8], int]:
        """Return an image at the side COLOURED, and the shorter of its own sides."""
        image = self._image(name)
        return squares(image)(COLOURED).astype(np.uint8), min(image.size)

    def _read_closely(self, name: str) -> NDArray[np.uint8]:
        return squares(self._image(name))(HELD).astype(np.uint8)

    def _image(self, name: str) -> Image:
        return upright(self._images.path(name).read_bytes(), LARGEST)


def _brought_to(side: int, planes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return planes as they are, or at half their side."""
    if planes.shape[-1] == side:
        return planes.astype(np.float32)
    halved: NDArray[np.float32] = planes.reshape(len(planes), side, 2, side, 2).mean((2, 4), np.float32)
    return halved
