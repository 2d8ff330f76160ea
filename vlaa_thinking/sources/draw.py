"""What a source's `take` takes: the rows whose hashes of seed and id are lowest, wherever in the source they stand."""

from __future__ import annotations

import hashlib
import heapq
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vlaa_thinking.record import Row


class Draw:
    """Which rows a source's `take` takes: those whose hashes of seed and id are lowest.

    So when a source grows, only rows that newcomers outrank make room. It is called with an id.
    """

    def __init__(self, seed: int, take: int) -> None:
        """Take every row until `look` has ranked them."""
        self._seed = seed
        self._take = take
        self._last = 1 << 64
        self._ties = take
        self.rows = 0
        """Rows that `look` saw."""

    def __call__(self, row_id: str) -> bool:
        """Say whether a row of this id is taken; of several with the last one's id, the first are (`take`)."""
        return self._rank(row_id) <= self._last

    def look(self, rows: Iterable[Row]) -> None:
        """Rank all rows of the source, with memory for those that are taken alone."""
        lowest: list[int] = []
        for row in rows:
            self.rows += 1
            rank = self._rank(named(row))
            if len(lowest) < self._take:
                heapq.heappush(lowest, -rank)
            elif -rank > lowest[0]:
                heapq.heapreplace(lowest, -rank)
        if self.rows > self._take:
            self._last = -lowest[0]
            self._ties = lowest.count(lowest[0])

    def take(self, row: Row) -> bool:
        """Say whether this row is taken, in the order of the source."""
        rank = self._rank(named(row))
        self._ties -= rank == self._last
        return rank < self._last or (rank == self._last and self._ties >= 0)

    def _rank(self, name: str) -> int:
        digest = hashlib.sha256(f"{self._seed}/take/{name}".encode(errors="replace")).digest()
        return int.from_bytes(digest[:8])


def named(row: Row) -> str:
    """Name a row before its image is stored: by its own id, else by its image and question."""
    if row.id:
        return row.id
    image = row.image
    if isinstance(image, Path):
        try:
            image = image.read_bytes()
        except (OSError, ValueError):
            image = str(row.image).encode(errors="replace")
    content = image if isinstance(image, bytes) else repr(image).encode()
    return f"{hashlib.sha256(content).hexdigest()}\n{row.question}"
