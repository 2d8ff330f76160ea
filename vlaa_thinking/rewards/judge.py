"""A project's judge as a scorer: the verify step, over any API of `llm/`, with its answers cached."""

from __future__ import annotations

import asyncio
import atexit
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vlaa_thinking.errors import NoReply, SetupError
from vlaa_thinking.record import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vlaa_thinking.llm import LLM
    from vlaa_thinking.project import Project
    from vlaa_thinking.rewards.scorers import Ask
    from vlaa_thinking.steps import Context

PATIENCE = 5.0
"""Seconds that connections are given to close when the program ends."""


class Judge:
    """Score open answers as step 5 of a build does: 1 for yes, 0 for no, and no score where it gives no verdict.

    A question asked twice with the same answer is one call, also from run to run. One event loop uses a judge
    at a time, as TRL's does.
    """

    bounded = True

    def __init__(
        self,
        *,
        cache: Path | str,
        project: Project | None = None,
        profile: str | None = None,
        llm: LLM | None = None,
    ) -> None:
        """Play the judge of a project's profile, or `llm` in its place; `cache` is the file of its answers.

        Nothing is opened before the first call. That raises `SetupError` for a wrong project, profile or cache.
        """
        self._cache = Path(cache)
        self._project = project
        self._profile = profile
        self._llm = llm
        self._open: tuple[asyncio.AbstractEventLoop, Context, AsyncExitStack] | None = None

    async def __call__(self, asks: Sequence[Ask], /) -> Sequence[float | None]:
        """Ask about all answers at once, as far as the model's limits let."""
        context = await self._context()
        return await asyncio.gather(*(_score(ask, context) for ask in asks))

    async def aclose(self) -> None:
        """Close connections and the cache; a later call opens them again."""
        if self._open is not None:
            _, _, stack = self._open
            self._open = None
            await stack.aclose()

    async def _context(self) -> Context:
        loop = asyncio.get_running_loop()
        if self._open is None:
            self._open = (loop, *self._set_up())
            atexit.register(self._close_at_exit)
        elif self._open[0] is not loop:
            raise SetupError(
                "this judge is at work in another event loop: `await judge.aclose()` there first"
            )
        return self._open[1]

    def _set_up(self) -> tuple[Context, AsyncExitStack]:
        """Make the judge's model alone, in its nest of wrappers: the other roles need no key."""
        # Heavier than rewards without a judge should be.
        from vlaa_thinking.cache import Cache  # noqa: PLC0415
        from vlaa_thinking.counts import Counts  # noqa: PLC0415
        from vlaa_thinking.images import ImageStore  # noqa: PLC0415
        from vlaa_thinking.players import Table, players  # noqa: PLC0415
        from vlaa_thinking.project import Project  # noqa: PLC0415
        from vlaa_thinking.setup import context_of  # noqa: PLC0415

        settings = (self._project or Project.default()).settings(self._profile)
        name = settings.roles["judge"]
        settings = replace(settings, roles=dict.fromkeys(settings.roles, name))
        llms: dict[str, LLM] | None = None if self._llm is None else dict.fromkeys(settings.roles, self._llm)
        stack = AsyncExitStack()
        cache = Cache(self._cache)
        stack.callback(cache.close)
        table = Table(cache=cache, counts=Counts(), budget=None, stack=stack)
        images = ImageStore(self._cache.parent, cache)  # the judge sees none
        return context_of(settings, images, players(settings, llms, table)), stack

    def _close_at_exit(self) -> None:
        """Close in the loop that used it, if that still runs in its thread."""
        if self._open is not None and self._open[0].is_running():
            asyncio.run_coroutine_threadsafe(self.aclose(), self._open[0]).result(PATIENCE)


async def _score(ask: Ask, context: Context) -> float | None:
    """Let one answer walk the verify step."""
    from vlaa_thinking.steps.verify import verify  # noqa: PLC0415

    record = Record(
        id=ask.row,
        source="",
        source_id=ask.row,
        source_license="unknown",
        question=ask.question,
        gold=ask.gold,
        prediction=ask.answer,
        answer_text=ask.answer,
    )
    try:
        record = await verify(record, context)
    except NoReply:
        return None
    judged = record.outcome is None or record.outcome.code == "wrong_answer"
    return record.score.value if judged and record.score else None
