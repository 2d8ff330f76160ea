"""What a task of a cluster does: the ordinary build of one shard, on whatever node it is."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vlaa_thinking
from vlaa_thinking.errors import SetupError, VlaaError
from vlaa_thinking.pipeline import build_shard
from vlaa_thinking.project import Project
from vlaa_thinking.setup import Options
from vlaa_thinking.shards.office import Teller, told

if TYPE_CHECKING:
    from vlaa_thinking.counts import Counts
    from vlaa_thinking.result import Run
    from vlaa_thinking.shards import Shard
    from vlaa_thinking.shards.sharing import Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What every worker is told."""

    version: str
    project: str
    hashes: dict[str, str]
    profile: str | None
    limit: int | None
    seed: int | None
    run: Run
    """Without what is this machine's own."""
    budget: bool

    @property
    def scratch(self) -> Path:
        """Where a node keeps its shards while they are under way: always the same for one place in storage."""
        digest = hashlib.sha256(str(self.run.work).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"vlaa-thinking-{os.getuid()}-{digest}"


def work(job: Job, shard: Shard, share: Share, office: Any, worker: str) -> tuple[str, str] | None:  # noqa: ANN401 - an actor
    """Build a shard on this node; returns what stopped it, as the error's name and words."""
    import ray  # noqa: PLC0415 - an extra, and heavy

    office.begin.remote(worker, ray.get_runtime_context().get_node_id())
    counts: list[Counts] = []
    teller = Teller(office, worker)

    def watch(now: Counts) -> None:
        counts[:] = [now]
        teller(now)

    async def lend(asked: float) -> float:
        lent: float = await office.lend.remote(worker, asked)
        return lent

    try:
        if vlaa_thinking.__version__ != job.version:
            raise SetupError(
                f"the node {os.uname().nodename} has version {vlaa_thinking.__version__} of this package, and you started "
                f"{job.version}: install one on all nodes"
            )
        project = Project.open(job.project)
        if project.settings(job.profile, job.run.preset).hashes != job.hashes:
            raise SetupError(
                f"{job.project} is another project on the node {os.uname().nodename} than where you started"
            )
        job.scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        if job.scratch.stat().st_uid != os.getuid():
            raise SetupError(f"{job.scratch} on the node {os.uname().nodename} belongs to another user")
        options = Options(
            project=project,
            out=job.scratch / "set",
            profile=job.profile,
            limit=job.limit,
            seed=job.seed,
            llms=None,
            run=replace(job.run, shard=shard, budget=0.0 if job.budget else None, watch=watch),
            ctrl_c=True,
            share=share,
            lend=lend if job.budget else None,
        )
        asyncio.run(build_shard(options))
    except VlaaError as exc:
        return type(exc).__name__, str(exc)
    finally:
        if counts:
            ray.get(
                [office.tell.remote(worker, told(counts[0])), office.settle.remote(worker, counts[0].spent)]
            )
    shutil.rmtree(shard.folder(job.scratch / "set"))
    return None
