"""How far a build's batches are: from its journal, and from their providers where a key is at hand."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlaa_thinking.batches.account import service_of
from vlaa_thinking.batches.journal import Journal
from vlaa_thinking.errors import ModelError, OutputError, Transient
from vlaa_thinking.places import Places
from vlaa_thinking.settings import Model
from vlaa_thinking.stop import run_to_end

if TYPE_CHECKING:
    from pathlib import Path

    from vlaa_thinking.batches import Seen
    from vlaa_thinking.batches.journal import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFacts:
    """What is known of one batch whose answers are still to come."""

    id: str | None
    """The provider's; None: not confirmed, the next build looks for it in the provider's list."""
    api: str
    model: str
    """Its name in models.toml."""
    roles: str
    state: str
    """In the provider's own words."""
    age: float
    """Seconds since it was sent."""
    requests: int
    done: int
    failed: int
    ended: bool
    """Whether its answers can be taken in."""
    asked: bool
    """Whether the provider was asked just now; if not, this is as the last build saw it."""
    trouble: str = ""
    """Why the provider could not be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildStatus:
    """How far a build's batches are."""

    out: Path
    batches: tuple[BatchFacts, ...]
    """Those whose answers are still to come, the oldest first."""
    taken_in: int
    """Batches whose answers are in the answer cache, or that were never worked on."""

    @property
    def next(self) -> str:
        """What to do now, in one sentence."""
        ended = sum(batch.ended for batch in self.batches)
        if not self.batches:
            return "No batch is under way."
        if ended:
            return f"Ended: {ended} of {len(self.batches)}. Run the same build command again to take their answers in."
        return (
            "They go on without this machine, and end within a day of their making: run the same build command again "
            "then. A build that runs takes their answers in by itself."
        )


def status(out: Path | str = "vlaa-dataset", *, offline: bool = False) -> BuildStatus:
    """Say how far the batches of the build of the dataset folder `out` are, without taking anything in.

    Providers are asked where the environment holds their keys, unless `offline`. Raises `SetupError` where there is no
    work folder.
    """
    places = Places(out)
    if not places.work.is_dir():
        raise OutputError(f"there is no build of {places.out} here: {places.work} is missing")
    with closing(Journal(places.batches)) as journal:
        every = journal.batches()
    waiting = [batch for batch in every if batch.ended is None]
    facts = run_to_end(_ask_all(waiting, offline=offline))
    return BuildStatus(out=places.out, batches=tuple(facts), taken_in=len(every) - len(waiting))


async def _ask_all(batches: list[Batch], *, offline: bool) -> list[BatchFacts]:
    return [await _ask(batch, offline=offline) for batch in batches]


async def _ask(batch: Batch, *, offline: bool) -> BatchFacts:
    """Ask a batch's provider how far it is."""
    key = os.environ.get(batch.key_env, "") if batch.key_env else "none"
    if offline or batch.provider_id is None:
        return _facts(batch, None)
    if not key:
        return _facts(batch, None, f"{batch.key_env} is not set")
    model = Model(api=batch.api, base_url=batch.url, api_key_env=batch.key_env, timeout=30)
    service = service_of(batch.model, model, key)
    try:
        async with asyncio.timeout(60):
            return _facts(batch, await service.look(batch.provider_id))
    except (Transient, ModelError, TimeoutError) as exc:
        return _facts(batch, None, str(exc) or "no reply within 60 s")
    finally:
        await service.aclose()


def _facts(batch: Batch, seen: Seen | None, trouble: str = "") -> BatchFacts:
    return BatchFacts(
        id=batch.provider_id,
        api=batch.api,
        model=batch.model,
        roles=batch.roles,
        state=seen.state if seen else batch.state,
        age=max(0.0, time.time() - (batch.sent or batch.intended)),
        requests=batch.requests,
        done=seen.done if seen else batch.done,
        failed=seen.failed if seen else batch.failed,
        ended=bool(seen and seen.ended),
        asked=seen is not None,
        trouble=trouble,
    )
