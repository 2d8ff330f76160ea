"""Calls by the batch: cheaper, answered within a day, and neither lost nor paid twice.

A request of a model in batch mode waits in the build's memory until there are enough. What a batch will hold is written
down before it is sent (`journal.py`); after a kill the provider's own list says which batches have arrived, and what one
of them may hold is not sent again. Answers go to the cache under the keys that live calls have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from vlaa_thinking.errors import Transient

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence


class TooLarge(Transient):
    """A batch has more bytes than its provider takes."""


class Gone(Transient):
    """A batch's results are no longer kept by its provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A batch as its provider sees it."""

    id: str
    """The provider's."""
    created: float
    """Seconds since the epoch, by the provider's clock."""
    state: str
    """In the provider's own words."""
    ended: bool
    tag: str | None = None
    """What we called it, where the provider keeps that."""
    requests: int | None = None
    """Requests in all; None: not known yet."""
    done: int = 0
    failed: int = 0
    fault: str = ""
    """Why the whole batch was turned down."""
    results: tuple[str, ...] = ()
    """Where its results are, in the provider's own terms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one request of a batch."""

    custom_id: str
    status: int
    """The HTTP status that a live call would have had; 0: nobody worked on it."""
    body: bytes
    """The body that a live call would have had; for the status 0, why."""


class Service(Protocol):
    """The batch endpoint of one provider.

    Each call is one try. It raises `Uncharged` where nothing has happened at the provider's, another `Transient` where
    that is not sure, `ModelError` for what will not pass.
    """

    tags: bool
    """Whether the provider keeps what we call a batch."""

    def line(self, custom_id: str, data: bytes) -> bytes:
        """Put a request's body into the form that it has in a batch."""
        ...

    async def create(self, tag: str, lines: Sequence[bytes]) -> Seen:
        """Send a batch; raises `TooLarge`, too."""
        ...

    async def look(self, batch: str) -> Seen:
        """Ask how far a batch is."""
        ...

    def recent(self, since: float) -> AsyncGenerator[Seen, None]:
        """List the account's batches that were made since then."""
        ...

    def answers(self, batch: Seen) -> AsyncGenerator[Answer, None]:
        """Read the results of a batch that has ended, in any order; raises `Gone`."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
