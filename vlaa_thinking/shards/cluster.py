"""A build on a cluster: Ray carries the shards over its nodes, and what they leave is merged where the driver runs.

A shard is one task, with the ordinary loop in it. Ray's own retries are off: the driver sees a task that was killed, and
begins its shard again, on the same node if that still lives, for there its answers lie. The limits of models are divided
into as many fixed parts as shards are under way at once, so they hold over the whole cluster without a word between
workers; the price is that a part stays unused while its shard waits or when the last shards are under way.
"""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import vlaa_thinking
from vlaa_thinking.counts import Counts
from vlaa_thinking.errors import BudgetReached, Interrupted, SetupError
from vlaa_thinking.result import Run
from vlaa_thinking.shards import Shard
from vlaa_thinking.shards.merging import merge
from vlaa_thinking.shards.office import Office, gathered
from vlaa_thinking.shards.sharing import Share, places_for
from vlaa_thinking.shards.worker import Job, work
from vlaa_thinking.stop import GRACE

if TYPE_CHECKING:
    from vlaa_thinking.project import Project
    from vlaa_thinking.result import BuildResult

KILLED_MOST = 5
"""A shard whose worker was killed so often, and never brought it further, is given up."""

LOOK_EVERY = 0.2
"""Seconds between two looks of the driver."""


@dataclass(slots=True)
class _Task:
    """A shard under way."""

    shard: Shard
    share: Share
    killed: int = 0
    worker: str = ""
    calls: int = -1
    """Replies that its workers had been given when one was last killed."""
    workers: list[str] = field(default_factory=list[str])


def build_on_ray(
    project: Project,
    *,
    out: Path | str = "vlaa-dataset",
    shards: int = 8,
    profile: str | None = None,
    limit: int | None = None,
    seed: int | None = None,
    run: Run | None = None,
) -> BuildResult:
    """Do what `build` does, on the Ray cluster that RAY_ADDRESS names or that this machine is a node of.

    Without one, Ray is started here. `run.work` is a folder on storage that all nodes share, or a URL of fsspec; the
    project lies at the same path on every node, its sources and the models are in reach of each, and so are keys in the
    environment that Ray was started in. A driver that was stopped is started again with the same arguments; the number
    of `shards` stays. Raises `SetupError` where Ray is not installed, or a worker finds its set-up wrong.
    """
    run = run or Run()
    if run.work is None:
        raise SetupError("a cluster needs a place that all nodes share: name a folder or a URL with --work")
    if run.shard is not None or run.cache is not None or run.log is not None:
        raise SetupError(
            "a cluster chooses shards itself, and keeps answers in --work: leave out shard, cache and log"
        )
    if "://" not in run.work:
        run = replace(run, work=str(Path(run.work).resolve()))
    settings = project.settings(profile, run.preset)
    job = Job(
        version=vlaa_thinking.__version__,
        project=str(project.root),
        hashes=settings.hashes,
        profile=profile,
        limit=limit,
        seed=seed,
        run=Run(preset=run.preset, again=run.again, work=run.work),
        budget=run.budget is not None,
    )
    every = [Shard(number=number, count=shards) for number in range(1, shards + 1)]
    if not every:
        raise SetupError(f"there are no shards to build: {shards} is no number of parts")
    with _Driver(job, run) as driver:
        named = [settings.models[name] for name in settings.roles.values()]
        driver.build(every, places_for(named, min(len(every), driver.cpus)))
        left = driver.left()
    here = replace(run, budget=left)
    result = merge(out=out, project=project, run=here)
    for shard in every:  # they were fetched for the merge, and are in storage
        shutil.rmtree(shard.folder(out), ignore_errors=True)
    return result


class _Driver:
    """Carries shards to nodes, until all are built or one cannot be."""

    def __init__(self, job: Job, run: Run) -> None:
        try:
            import ray  # noqa: PLC0415 - an extra, and heavy
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415
        except ImportError:
            raise SetupError('Ray is not installed: pip install "vlaa-thinking[ray]"') from None
        self._ray: Any = ray  # it is typed here and there
        self._on = NodeAffinitySchedulingStrategy
        self._job = job
        self._run = run
        self._counts = Counts()
        self._tasks: dict[Any, _Task] = {}
        self._lately: dict[str, str] = {}
        """By shard, its latest worker."""

    def __enter__(self) -> Self:
        ray = self._ray
        self._own = not ray.is_initialized()
        if self._own:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            try:
                ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, RuntimeError, ValueError) as exc:
                words = " ".join(str(exc).split())[:300]
                raise SetupError(f"Ray cannot be started or reached (see RAY_ADDRESS): {words}") from exc
        here = self._on(ray.get_runtime_context().get_node_id(), soft=False)
        office = ray.remote(num_cpus=0, scheduling_strategy=here)(Office)
        self._office = office.remote(self._run.budget)
        self._work = ray.remote(num_cpus=1, max_retries=0)(work)
        return self

    def __exit__(self, *_: object) -> None:
        if self._own:
            self._ray.shutdown()
        else:
            self._ray.kill(self._office)

    @property
    def cpus(self) -> int:
        """Tasks that the cluster has room for."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def left(self) -> float | None:
        """Say what is left of the budget."""
        left: float | None = self._ray.get(self._office.left.remote())
        return left

    def build(self, shards: list[Shard], places: int) -> None:
        """Build all shards, `places` at once; raises what stopped one of them, once the others have stopped."""
        free = [Share(place=place, places=places) for place in reversed(range(places))]
        waiting = shards[::-1]
        try:
            while waiting or self._tasks:
                while waiting and free:
                    self._begin(_Task(waiting.pop(), free.pop()))
                ended = self._ray.wait(list(self._tasks), timeout=LOOK_EVERY)[0]
                free += [share for ref in ended if (share := self._end(ref))]
                self._look()
        except BaseException as exc:
            self._stop()
            if isinstance(exc, KeyboardInterrupt):
                raise Interrupted(
                    "stopped; every answer so far is kept: run the same command again to go on"
                ) from None
            raise

    def _begin(self, task: _Task, node: str | None = None) -> None:
        """Begin a shard, or begin it again: where it was, if that node still lives."""
        task.worker = f"{task.shard}#{len(task.workers) + 1}"
        task.workers.append(task.worker)
        self._lately[str(task.shard)] = task.worker
        strategy = self._on(node, soft=True) if node else "SPREAD"
        asked = self._work.options(scheduling_strategy=strategy)
        self._tasks[asked.remote(self._job, task.shard, task.share, self._office, task.worker)] = task

    def _end(self, ref: Any) -> Share | None:  # noqa: ANN401 - a reference of Ray
        """See how a task ended; gives its share back if the shard is built, and begins it again if it was killed."""
        task = self._tasks.pop(ref)
        try:
            said = self._ray.get(ref)
        except self._ray.exceptions.RayTaskError:
            raise
        except self._ray.exceptions.RayError as exc:
            self._again(task, exc)
            return None
        if said is not None:
            kind, words = said
            if kind == "BudgetReached":
                raise BudgetReached(
                    f"stopped at the budget: what others hold or have spent of ${self._run.budget:g} leaves too little "
                    f"for the next call of shard {task.shard}; every answer is kept: build again with a larger --budget"
                )
            raise SetupError(f"shard {task.shard}: {words}")
        return task.share

    def _again(self, task: _Task, why: BaseException) -> None:
        """Begin a shard again whose worker was killed, unless it never gets any further."""
        said, nodes = self._ray.get(self._office.look.remote())
        calls = sum(c["made"] for w in task.workers if w in said for c in said[w]["calls"].values())
        task.killed = task.killed + 1 if calls <= task.calls else 1
        task.calls = calls
        if task.killed >= KILLED_MOST:
            raise SetupError(
                f"the worker of shard {task.shard} was killed {task.killed} times in a row without a reply in between: "
                f"{type(why).__name__}; see Ray's logs"
            )
        node = nodes.get(task.worker)
        alive = {n["NodeID"] for n in self._ray.nodes() if n["Alive"]}
        self._begin(task, node if node in alive else None)

    def _look(self) -> None:
        if self._run.watch:
            said, _ = self._ray.get(self._office.look.remote())
            gathered(self._counts, said, self._lately.values())
            self._run.watch(self._counts)

    def _stop(self) -> None:
        """Let the replies under way come in, and the workers end; a second Ctrl-C ends at once."""
        self._counts.stopping = True
        for ref in self._tasks:
            self._ray.cancel(ref)
        self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=GRACE + 5)
