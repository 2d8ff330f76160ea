"""Shards become a dataset: the union of their answers, rows and images, curated once.

No source is read, and every row walks its way again by the stored answers: what shards share (the same question to a
text-only model, say) is counted once, and the bytes are those of a build that was never divided.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import AsyncExitStack, closing, suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlaa_thinking.cache import Cache
from vlaa_thinking.counts import Counts
from vlaa_thinking.disk import watched as disk_watched
from vlaa_thinking.errors import SetupError
from vlaa_thinking.images import ImageStore
from vlaa_thinking.llm.budget import Budget
from vlaa_thinking.log import Log
from vlaa_thinking.pipeline import (
    check_blind,
    note_run,
    read_benchmarks,
    refuse_nothing,
    result_of,
    second_pass,
    watched,
)
from vlaa_thinking.places import Places
from vlaa_thinking.players import Table, players
from vlaa_thinking.project import Project
from vlaa_thinking.rebuilding.walking import Desk, settings_as, walk_again
from vlaa_thinking.result import Run
from vlaa_thinking.setup import Setup, context_of
from vlaa_thinking.shards import shards_beside
from vlaa_thinking.shards.away import fetch
from vlaa_thinking.shards.folder import ShardFolder, see_one_build
from vlaa_thinking.spool import Spool
from vlaa_thinking.stop import Stop, run_to_end

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vlaa_thinking.llm import LLM
    from vlaa_thinking.result import BuildResult
    from vlaa_thinking.steps import Context

_RAN = ("made", "spared", "input_tokens", "output_tokens", "spent", "saved", "unpriced")
"""What a shard's last run did, by role."""


def merge(
    shards: Sequence[Path | str] = (),
    *,
    out: Path | str = "vlaa-dataset",
    project: Project | None = None,
    llms: Mapping[str, LLM] | None = None,
    run: Run | None = None,
) -> BuildResult:
    """Make the dataset folder `out` of all the shards of one build; its bytes are those of a build in one piece.

    `shards` are their folders, by default those beside `out`, or those that `run.work` holds in storage; `project` is
    the one that they were built from, where it lies elsewhere now. No model is called but for the policy's look without the image (`blind` in cards/6_curate.toml),
    which concerns the whole: only then keys are needed, or `llms` where models are your own. A row that failed in its
    shard stays failed; `build` with the same arguments tries it again. The result's calls and dollars are those of the
    shards' last runs and of this one together.

    Raises `SetupError` where a shard is missing, named twice or not finished, or where the shards are not of one build.
    """
    run = run or Run()
    if run.work is not None and shards:
        raise SetupError(f"name the shards' folders, or {run.work} that they are fetched from, not both")
    folders = fetch(run.work, out) if run.work is not None else shards or shards_beside(out)
    found = [ShardFolder.open(path) for path in folders]
    see_one_build(found)
    found.sort(key=lambda folder: folder.shard.number)
    return run_to_end(_merge(found, out, project or _project_of(found[0]), llms, run))


def _project_of(folder: ShardFolder) -> Project:
    """Open the project that shards were built from."""
    root = Path(folder.note["project"])
    if not root.is_dir():
        raise SetupError(
            f"the project {root} that the shards were built from is not here: name it (--project)"
        )
    return Project.open(root)


async def _merge(
    found: Sequence[ShardFolder],
    out: Path | str,
    project: Project,
    llms: Mapping[str, LLM] | None,
    run: Run,
) -> BuildResult:
    note = found[0].note
    settings = settings_as(note["files"], project, note["profile"], note["preset"])
    counts = Counts()
    stop = Stop(counts)
    async with AsyncExitStack() as stack:
        stack.enter_context(stop.on_ctrl_c())
        places = stack.enter_context(Places(out, replace=run.replace))
        for folder in found:
            stack.enter_context(folder.places)
        counts.expected = sum(folder.rows() for folder in found)
        stack.enter_context(disk_watched(places.work, run.cache or places.answers))
        cache = stack.enter_context(closing(Cache(run.cache or places.answers)))
        desk, images = Desk(cache, counts), ImageStore(places.images, cache)
        setup = Setup(
            run=run,
            settings=settings,
            seed=note["seed"],
            counts=counts,
            stop=stop,
            places=places,
            cache=cache,
            images=images,
            context=context_of(settings, images, desk.cast(settings, note)),
            limit=note["limit"],
            log=None,
        )
        await stack.enter_async_context(watched(run, counts))
        await asyncio.to_thread(_unite, found, cache, images.folder, stop.raise_if_wanted)
        spool = stack.enter_context(
            closing(Spool(places.spool, fresh=True, between_rows=stop.raise_if_wanted))
        )
        benchmarks = await asyncio.to_thread(read_benchmarks, setup)
        spools = [stack.enter_context(closing(folder.spool())) for folder in found]
        rows = chain.from_iterable(one.collected() for one in spools)
        await stop.watch(walk_again(rows, spool, setup), ())
        refuse_nothing(spool, ", ".join(source.name for source in settings.sources))
        for count in counts.calls.values():  # what the walk found stored was counted in its shard
            count.spared, count.saved = 0, 0.0
        live = replace(setup, context=_asking(setup, llms, stack))
        blind = await stop.watch(check_blind(live, spool), live.context.gates)
        for folder in found:
            _add_run(counts, folder.note)
        made, changed = await asyncio.to_thread(
            second_pass, spool, note["not_taken"], setup, blind, benchmarks
        )
        result = result_of(setup, spool, made, changed=changed)
        note_run(setup, result, shards=[_told(folder) for folder in found])
        return result


def _unite(found: Sequence[ShardFolder], cache: Cache, images: Path, between: Callable[[], None]) -> None:
    """Bring the answers and images of all shards together; of two answers to one request, the first shard's stands."""
    for folder in reversed(found):
        between()
        if not folder.answers.samefile(cache.path):
            cache.take_over(folder.answers)
    for folder in found:
        for path in folder.places.images.glob("*/*"):
            between()
            _link(path, images / path.parent.name / path.name)


def _link(path: Path, target: Path) -> None:
    """Let a stored image stand in another store, too; by its hash it is the same file, whoever put it there."""
    if target.exists() or "." in path.name:  # with a dot: a file that a killed build was writing
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, target)
    except OSError:  # on another disk, or on one without links
        part = target.with_suffix(f".{os.getpid()}")
        try:
            shutil.copyfile(path, part)
            part.replace(target)
        except OSError:
            with suppress(OSError):
                part.unlink()
            raise


def _asking(setup: Setup, llms: Mapping[str, LLM] | None, stack: AsyncExitStack) -> Context:
    """Set up the models that the policy's look without the image asks; without such a look, none."""
    here = setup.context.players
    if not setup.settings.curate.policy.blind or "policy" not in here:
        return setup.context
    for role, player in here.items():
        if player.own and role not in (llms or {}):
            raise SetupError(
                f'the look without the image asks your own model "{player.name}" ({role}): give it in `llms`'
            )
    run = setup.run
    log = stack.enter_context(closing(Log(run.log, out=setup.places.out))) if run.log else None
    budget = None if run.budget is None else Budget(run.budget, setup.counts)
    table = Table(
        cache=setup.cache, counts=setup.counts, budget=budget, stack=stack, again=run.again, log=log
    )
    return context_of(setup.settings, setup.images, players(setup.settings, llms, table))


def _add_run(counts: Counts, note: Mapping[str, Any]) -> None:
    """Count what a shard's last run did."""
    counts.retries += note["retries"]
    for role, ran in note["calls"].items():
        count = counts.role(role)
        for name in _RAN:
            setattr(count, name, getattr(count, name) + ran[name])


def _told(folder: ShardFolder) -> dict[str, Any]:
    """Say of a shard, in run.json, what its last run did."""
    names = ("shard", "seconds", "retries", "spent", "saved", "unpriced", "rows", "dropped", "failed")
    return {name: folder.note[name] for name in names}
