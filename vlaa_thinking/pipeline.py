"""The six steps in order, the one loop that runs them, and `build`.

Two passes. In the first, each record walks the steps in a coroutine of its own, a bounded window of them at
once, and goes to the spool. In the second, `curate` decides over the facts alone and the writer streams rows in
key order: the order of completion never shows.
"""

from __future__ import annotations

import asyncio
import gc
import json
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

from vlaa_thinking import card, croissant
from vlaa_thinking.background import Background
from vlaa_thinking.contamination import matches, told
from vlaa_thinking.contamination.evaluation import read_benchmark
from vlaa_thinking.dataset import files_told, root_of, write_manifest, write_splits
from vlaa_thinking.errors import NoReply, SetupError, VlaaError
from vlaa_thinking.keeping import beside_paper, kept_by_source
from vlaa_thinking.likeness.twins import counted, related
from vlaa_thinking.markup import read_template
from vlaa_thinking.result import BuildResult, Funnel, Run, funnel
from vlaa_thinking.setup import Options, Setup, made_ready
from vlaa_thinking.shards.away import hand_over
from vlaa_thinking.shards.folder import begin, noted
from vlaa_thinking.spool import Spool
from vlaa_thinking.steps import prepare_to_parse
from vlaa_thinking.steps.adopt import adopt, passed
from vlaa_thinking.steps.caption import caption
from vlaa_thinking.steps.curate import curate, mark
from vlaa_thinking.steps.distill import distill
from vlaa_thinking.steps.policy import Blind, look_away, measure
from vlaa_thinking.steps.rewrite import rewrite
from vlaa_thinking.steps.verify import verify

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
    from pathlib import Path

    from vlaa_thinking.contamination import Benchmark
    from vlaa_thinking.counts import Counts, StepCount
    from vlaa_thinking.images import ImageStore
    from vlaa_thinking.llm import LLM
    from vlaa_thinking.project import Project
    from vlaa_thinking.record import Record, Way
    from vlaa_thinking.shards import Shard
    from vlaa_thinking.steps import Context, Step
    from vlaa_thinking.steps.collect import Collected, Collection

STEPS: tuple[Step, ...] = (caption, distill, rewrite, verify)
"""The steps between `collect`, which makes records, and `curate`, which sees all of them."""

WAYS: Mapping[Way, tuple[Step, ...]] = {
    "full": STEPS,
    "adopt": (passed, adopt, passed, verify),
    "rl_only": (passed,) * len(STEPS),
}
"""What stands in each step's place on a source's way."""

LOT = 32
"""Rows that are pulled from the sources at a time, in the background."""

REFRESH = 0.1
"""Seconds between two looks of a display."""


def build(
    project: Project,
    *,
    out: Path | str = "vlaa-dataset",
    profile: str | None = None,
    limit: int | None = None,
    seed: int | None = None,
    llms: Mapping[str, LLM] | None = None,
    run: Run | None = None,
) -> BuildResult:
    """Run the six steps and write the dataset folder `out`.

    `profile` names a profile of models.toml, `limit` takes that many input rows, round robin over the sources,
    `seed` replaces the project's, `llms` maps roles to callables of the `LLM` shape. Raises `SetupError` for a
    wrong set-up, and in a running event loop, where `abuild` is to be awaited.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise SetupError(
            "an event loop is running here (a notebook?): use `await abuild(...)` instead of `build(...)`"
        )
    options = Options(
        project=project,
        out=out,
        profile=profile,
        limit=limit,
        seed=seed,
        llms=llms,
        run=run or Run(),
        ctrl_c=True,
    )
    return asyncio.run(_build(options))


async def abuild(
    project: Project,
    *,
    out: Path | str = "vlaa-dataset",
    profile: str | None = None,
    limit: int | None = None,
    seed: int | None = None,
    llms: Mapping[str, LLM] | None = None,
    run: Run | None = None,
) -> BuildResult:
    """Do what `build` does, inside a running event loop; Ctrl-C is left to whoever runs the loop."""
    options = Options(
        project=project,
        out=out,
        profile=profile,
        limit=limit,
        seed=seed,
        llms=llms,
        run=run or Run(),
        ctrl_c=False,
    )
    return await _build(options)


async def build_shard(options: Options) -> BuildResult:
    """Build the shard that the options name."""
    return await _build(options)


async def _build(options: Options) -> BuildResult:
    async with made_ready(options) as setup, AsyncExitStack() as stack:
        stack.enter_context(_rarely_collecting())
        read_template(setup.settings.template, card.TEMPLATE)  # a slip in it is told before anything is paid
        counts, places, shard = setup.counts, setup.places, setup.run.shard
        if shard:
            begin(setup)
        spool = stack.enter_context(
            closing(Spool(places.spool, fresh=True, between_rows=setup.stop.raise_if_wanted))
        )
        benchmarks = await asyncio.to_thread(read_benchmarks, setup)
        collection = setup.collection()
        counts.expected = _part(collection.expected, shard)
        await stack.enter_async_context(watched(setup.run, counts))
        await setup.stop.watch(_first_pass(collection, setup, spool), setup.context.gates)
        if shard:
            spool.settle()
            made = funnel(spool, collection.not_taken)
            result = result_of(setup, spool, made, shard=places.work)
            note_run(setup, result, **noted(setup, collection))
            await asyncio.to_thread(hand_over, setup)
            return result
        refuse_nothing(spool, collection.names)
        blind = await setup.stop.watch(check_blind(setup, spool), setup.context.gates)
        made, changed = await asyncio.to_thread(
            second_pass, spool, collection.not_taken, setup, blind, benchmarks
        )
        result = result_of(setup, spool, made, changed=changed)
        note_run(setup, result)
        return result


@contextmanager
def _rarely_collecting() -> Iterator[None]:
    """Let Python look for cyclic garbage less often: a build makes next to none, and pays a tenth of its time for it."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


async def walk(record: Record, context: Context, counts: Counts) -> Record:
    """Take one record through the steps, until its way ends; a row's fault never raises."""
    for place, step in zip(STEPS, WAYS[record.way], strict=True):
        if record.outcome is not None:
            break
        name = place.__name__
        counts.steps[name].under_way += 1
        try:
            record = await step(record, context)
        except NoReply as exc:
            record = record.fail(name, "no_reply", f"{name}: {exc}")
        finally:
            counts.steps[name].under_way -= 1
        _tally(counts.steps[name], record)
    record = mark(record, context.settings.cues)
    try:
        return await measure(record, context)
    except NoReply as exc:
        return record.fail("curate", "no_reply", f"curate: {exc}")


async def check_blind(setup: Setup, spool: Spool) -> Blind | None:
    """Ask the policy about some rows without their image, if the project says so."""
    rows = setup.settings.curate.policy.blind
    return await look_away(spool.measured(rows), setup.context) if rows else None


async def _first_pass(collection: Collection, setup: Setup, spool: Spool) -> None:
    """Let a bounded window of records walk at once; a finished one goes to the spool."""
    context, counts = setup.context, setup.counts
    rooms = {player.name: player.model.room for player in context.players.values()}
    room = asyncio.Semaphore(sum(rooms.values()))
    all_in = False

    async def one(collected: Collected) -> None:
        try:
            async with setup.ending_whole():
                record = await walk(collected.record, context, counts)
                spool.put(record, collected.copy)
                if setup.log:
                    setup.log.row(record)
        finally:
            room.release()
        # Not before one row has been through all steps: what is wrong with the model of the last is told early.
        if all_in and record.outcome is None:
            for gate in context.gates:
                gate.catch_up()

    rows = iter(collection)
    try:
        async with Background() as background, asyncio.TaskGroup() as group:
            counts.reading = True
            lot = await background.do(_lot, rows, setup.images)
            while lot:
                if counts.asking and not background.is_back:
                    background.step_back()
                    group.create_task(background.do(prepare_to_parse))
                following = group.create_task(background.do(_lot, rows, setup.images))
                for collected in lot:
                    _tally(counts.steps["collect"], collected.record)
                    counts.reading = not room.locked()
                    await room.acquire()
                    counts.reading = True
                    group.create_task(one(collected))
                lot = await following
            counts.reading = False
            all_in = True
    except BaseExceptionGroup as failures:
        raise first_failure(failures) from None


def read_benchmarks(setup: Setup) -> list[Benchmark]:
    """Read the evaluation sets: one that is not there is told before anything is paid."""
    settings, between = setup.settings, setup.stop.raise_if_wanted
    return [
        read_benchmark(name, settings.root, setup.images, between) for name in settings.curate.decontaminate
    ]


def second_pass(
    spool: Spool, not_taken: int, setup: Setup, blind: Blind | None, benchmarks: Sequence[Benchmark]
) -> tuple[Funnel, bool]:
    """Curate, write the folder, and put it in its place; returns the funnel and whether OUT changed."""
    settings, places, counts = setup.settings, setup.places, setup.counts
    outside = {name: print_ for b in benchmarks for name, print_ in b.fingerprints.items()}
    counts.comparing = True
    alike = related(
        spool.fingerprints(),
        outside,
        setup.images,
        setup.cache,
        between=setup.stop.raise_if_wanted,
        compared=counts.note_compared,
    )
    counts.comparing = False
    found = matches(spool.questions(), benchmarks, alike.near, alike.groups) if benchmarks else {}
    spool.decide(list(curate(spool.facts(alike.groups), settings.curate, setup.seed, found)))
    made = funnel(spool, not_taken)
    if not made.kept:
        return made, False
    splits = write_splits(places.next, spool, setup.images, settings)
    hashed = files_told(places.next)
    manifest = card.manifest(setup, made, splits, spool, blind, root_of(hashed))
    manifest |= {"near_duplicates": counted(alike.groups), "decontamination": told(benchmarks, found)}
    croissant.write(places.next, settings.curate.card, manifest, hashed)
    card.write(places.next, settings, manifest, splits)
    write_manifest(places.next, manifest, hashed)
    setup.stop.raise_if_wanted()
    return made, places.put()


def _lot(rows: Iterator[Collected], images: ImageStore) -> list[Collected]:
    lot = list(islice(rows, LOT))
    images.settle()
    return lot


def _tally(count: StepCount, record: Record) -> None:
    if record.outcome is None:
        count.done += 1
    elif record.outcome.status == "failed":
        count.failed += 1
    else:
        count.dropped += 1


def first_failure(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Choose the one failure to tell: ours, if there is one."""
    leaves: list[BaseException] = []
    pending: list[BaseException] = [failures]
    while pending:
        error = pending.pop(0)
        if isinstance(error, BaseExceptionGroup):
            pending.extend(error.exceptions)
        else:
            leaves.append(error)
    return next((leaf for leaf in leaves if isinstance(leaf, VlaaError)), leaves[0])


def _part(rows: int | None, shard: Shard | None) -> int | None:
    """Say how many of the rows a shard will probably hold."""
    return rows if rows is None or shard is None else round(rows / shard.count)


def result_of(
    setup: Setup, spool: Spool, made: Funnel, *, changed: bool = False, shard: Path | None = None
) -> BuildResult:
    """Say what a build came to, by its funnel and its counts."""
    counts = setup.counts
    return BuildResult(
        out=setup.places.out if made.kept else None,
        changed=changed,
        funnel=made,
        calls=counts.made,
        spared=counts.spared,
        spent=counts.spent,
        saved=counts.saved,
        unpriced=counts.unpriced,
        seconds=counts.seconds,
        rates=beside_paper(kept_by_source(spool)[0], setup.settings.paper),
        shard=shard,
    )


def refuse_nothing(spool: Spool, names: str) -> None:
    """Stop where no row came in at all, or every image is missing: that is the set-up's fault."""
    codes = dict(spool.count("code"))
    rows = sum(codes.values())
    if rows == 0:
        raise SetupError("the sources gave no rows: see the paths in generators/1_collect.toml")
    if codes.get("missing_image") == rows:
        raise SetupError(
            f"all {rows} images are missing: see image_root and the image column in generators/1_collect.toml "
            f"({names})"
        )


async def _watch(run: Run, counts: Counts) -> None:
    if run.watch is None:
        return
    try:
        while True:
            run.watch(counts)
            await asyncio.sleep(REFRESH)
    finally:
        run.watch(counts)


@asynccontextmanager
async def watched(run: Run, counts: Counts) -> AsyncIterator[None]:
    """Let a display look at the counts, as long as this lasts."""
    task = asyncio.create_task(_watch(run, counts))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def note_run(setup: Setup, result: BuildResult, **more: Any) -> None:  # noqa: ANN401 - any JSON
    """Write down what this run did, and what `show` needs to walk a row's way again."""
    counts = setup.counts
    note = {
        "project": str(setup.settings.root),
        "profile": setup.settings.profile,
        "preset": setup.settings.preset,
        "seed": setup.seed,
        "cache": str(setup.cache.path.absolute()),
        "players": {
            role: {"name": p.name, "own": p.own, "address": asdict(p.address) if p.address else None}
            for role, p in setup.context.players.items()
        },
        "seconds": round(counts.seconds, 3),
        "calls": {role: asdict(count) for role, count in sorted(counts.calls.items())},
        "retries": counts.retries,
        "spent": counts.spent,
        "saved": counts.saved,
        "unpriced": counts.unpriced,
        "rows": result.funnel.rows,
        "kept": result.funnel.kept,
        "dropped": result.funnel.dropped,
        "failed": result.funnel.failed,
        **more,
    }
    part = setup.places.run.with_suffix(".part")
    part.write_text(json.dumps(note, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(setup.places.run)
