"""A scripted model, for tests of this package and of its users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlaa_thinking.llm import Completion, Request

if TYPE_CHECKING:
    from collections.abc import Callable


class Fake:
    """A model that answers by `script`: a function from request to text or `Completion`.

    It remembers what it was asked in `requests`. An error that the script raises is raised to the caller.
    """

    def __init__(self, script: Callable[[Request], Completion | str], *, identity: str = "fake") -> None:
        """Answer by `script`; answers are cached under `identity`."""
        self._script = script
        self.identity = identity
        self.requests: list[Request] = []

    async def __call__(self, request: Request, /) -> Completion:
        """Answer one request."""
        self.requests.append(request)
        answer = self._script(request)
        return Completion.of(answer) if isinstance(answer, str) else answer
