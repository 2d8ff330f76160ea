"""A build made ready: its places open, its sources, its models and its checks in hand."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vlaa_thinking import plugin
from vlaa_thinking.batches.journal import Journal
from vlaa_thinking.counts import Counts
from vlaa_thinking.disk import watched
from vlaa_thinking.images import ImageStore
from vlaa_thinking.llm.budget import Budget
from vlaa_thinking.log import Log
from vlaa_thinking.places import Places
from vlaa_thinking.players import Table, Told, players, recalled, recalling
from vlaa_thinking.shards.away import open_cache
from vlaa_thinking.steps import Context
from vlaa_thinking.steps.collect import Collection
from vlaa_thinking.steps.curate import refuse_unmeasured
from vlaa_thinking.stop import Stop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Container, Mapping
    from pathlib import Path

    from vlaa_thinking.cache import Cache
    from vlaa_thinking.llm import LLM
    from vlaa_thinking.project import Project
    from vlaa_thinking.result import Run
    from vlaa_thinking.settings import Role, Settings
    from vlaa_thinking.shards.sharing import Lend, Share
    from vlaa_thinking.steps import Player


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The arguments of `build`."""

    project: Project
    out: Path | str
    profile: str | None
    limit: int | None
    seed: int | None
    llms: Mapping[str, LLM] | None
    run: Run
    ctrl_c: bool
    """Whether Ctrl-C is listened to."""
    share: Share | None = None
    """Where others build, too: the part of every model's limits that is this build's."""
    lend: Lend | None = None
    """And who lends it money beyond its budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What the two passes work with."""

    run: Run
    settings: Settings
    seed: int
    counts: Counts
    stop: Stop
    places: Places
    cache: Cache
    images: ImageStore
    context: Context
    """With models that are called."""
    limit: int | None
    log: Log | None

    def collection(self) -> Collection:
        """Open the sources; raises `SetupError` for a wrong reader, option, file or column."""
        return Collection(
            self.settings,
            self.images,
            seed=self.seed,
            limit=self.limit,
            shard=self.run.shard,
            between=self.stop.raise_if_wanted,
        )

    @asynccontextmanager
    async def ending_whole(self) -> AsyncIterator[None]:
        """Raise what stops the build only when the calls under way have ended: they are paid for, and are kept."""
        try:
            yield
        except Exception:
            await self.stop.let_end(self.context.gates)
            raise

    def recalled(self, told: Told) -> Context:
        """Return a context whose models answer from the cache alone; `told` hears of each request."""
        cast = {role: recalling(p, self.cache, told) for role, p in self.context.players.items()}
        return replace(self.context, players=cast)


@asynccontextmanager
async def made_ready(
    options: Options, *, calls: bool = True, batches: bool = True, roles: Container[Role] | None = None
) -> AsyncIterator[Setup]:
    """Open all that a build needs, and close it at the end; without `calls` no model is set up, so no key needed.

    Without `batches` all calls are live. `roles` says who is asked, where it is not everybody.
    """
    run = options.run
    settings = options.project.settings(options.profile, run.preset)
    if roles is not None:
        settings = replace(settings, roles={r: name for r, name in settings.roles.items() if r in roles})
    if options.share is not None:
        settings = options.share.settings(settings)
    counts = Counts()
    stop = Stop(counts)
    async with AsyncExitStack() as stack:
        if options.ctrl_c:
            stack.enter_context(stop.on_ctrl_c())
        work = run.shard.folder(options.out) if run.shard else None
        places = stack.enter_context(Places(options.out, replace=run.replace, work=work))
        stack.enter_context(watched(places.work, run.cache or places.answers))
        cache = stack.enter_context(closing(await asyncio.to_thread(open_cache, run, places)))
        log = stack.enter_context(closing(Log(run.log, out=places.out))) if run.log else None
        images = ImageStore(places.images, cache)
        if calls:
            budget = None if run.budget is None else Budget(run.budget, counts, lend=options.lend)
            journal = stack.enter_context(closing(Journal(places.batches)))
            table = Table(
                journal=journal,
                batches=batches,
                cache=cache,
                counts=counts,
                budget=budget,
                stack=stack,
                again=run.again,
                log=log,
            )
            cast = players(settings, options.llms, table)
        else:
            cast = recalled(settings, options.llms, cache)
        refuse_unmeasured(settings, cast)
        yield Setup(
            run=run,
            settings=settings,
            seed=settings.curate.seed if options.seed is None else options.seed,
            counts=counts,
            stop=stop,
            places=places,
            cache=cache,
            images=images,
            context=context_of(settings, images, cast),
            limit=options.limit,
            log=log,
        )


def context_of(settings: Settings, images: ImageStore, cast: Mapping[Role, Player]) -> Context:
    """Return what the steps of a project may use, with these players."""
    checks = {
        kind: plugin.load(verifier.check, settings.root) for kind, verifier in settings.verifiers.items()
    }
    return Context(settings=settings, players=cast, checks=checks, images=images)
