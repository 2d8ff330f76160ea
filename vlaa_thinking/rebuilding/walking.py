"""Rows that walk the steps again with nobody to ask: their stored answers take them where they went."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from vlaa_thinking.errors import NoReply, OutputError, SetupError
from vlaa_thinking.llm.wrap import Cached
from vlaa_thinking.pipeline import walk
from vlaa_thinking.prices import price_of
from vlaa_thinking.trace import as_collected, noted_players

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from vlaa_thinking.cache import Cache
    from vlaa_thinking.counts import Counts
    from vlaa_thinking.images import ImageStore
    from vlaa_thinking.llm import LLM, Completion, Request
    from vlaa_thinking.project import Project
    from vlaa_thinking.record import Record
    from vlaa_thinking.settings import Role, Settings
    from vlaa_thinking.setup import Setup
    from vlaa_thinking.spool import Spool
    from vlaa_thinking.steps import Player

LOT = 64
"""Rows that walk at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingAnswer:
    """A row whose way needs an answer that is not stored."""

    row: str
    """Its id, as source/id."""
    step: str


def settings_as(
    then: Mapping[str, str], project: Project, profile: str | None, preset: str | None
) -> Settings:
    """Read a project whose files had the hashes `then`; raises `SetupError` naming each that is another one now."""
    settings = project.settings(profile, preset)
    now = settings.hashes
    wrong = [
        f"{name} {'was changed' if name in then and name in now else 'is gone' if name in then else 'is new'}"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]
    if wrong:
        raise SetupError(
            f"the project {project.root} is not as this dataset was built from it: {', '.join(wrong)}; "
            "name a project with the files as they were, or build anew"
        )
    return settings


async def walk_again(rows: Iterable[tuple[Record, int]], spool: Spool, setup: Setup) -> list[MissingAnswer]:
    """Let rows walk again, each with how many of its id came before it; returns those that met an answer not stored.

    A row that had failed before, and fails now, is put into the spool as it failed then.
    """
    missing, no_image = [], []
    rows = iter(rows)
    while lot := list(islice(rows, LOT)):
        no_image += [record.id for record, _ in lot if _lacks_image(record, setup.images)]
        if no_image:
            continue
        walking = (walk(as_collected(record), setup.context, setup.counts) for record, _ in lot)
        ended = await asyncio.gather(*walking)
        for record, (before, copy) in zip(ended, lot, strict=True):
            failed = record.outcome is not None and record.outcome.status == "failed"
            had_failed = before.outcome is not None and before.outcome.status == "failed"
            spool.put(before if failed and had_failed else record, copy)
            if failed and record.outcome:
                missing.append(MissingAnswer(row=record.id, step=record.outcome.step))
    if no_image:
        raise OutputError(
            f"{setup.images.folder} lacks the images of {len(no_image):,} rows ({', '.join(no_image[:3])}"
            f"{', ...' if len(no_image) > 3 else ''}): build again, and then go on"
        )
    return missing


def _lacks_image(record: Record, images: ImageStore) -> bool:
    return record.picture is not None and not images.path(record.picture.sha256).is_file()


class Desk:
    """Who answers for the models: the cache, and what it lacks is counted."""

    def __init__(self, cache: Cache, counts: Counts) -> None:
        """Answer from `cache`, and count in `counts` on which answers rows rest."""
        self._cache = cache
        self._counts = counts
        self.missed = 0
        """Calls whose answer is not stored."""

    def cast(self, settings: Settings, note: Mapping[str, Any]) -> dict[Role, Player]:
        """Set up the players of the first build; one that plays several roles rests on each answer once."""
        nests: dict[str, LLM] = {}
        cast: dict[Role, Player] = {}
        for role, player in noted_players(settings, note).items():
            if player.name not in nests:
                nests[player.name] = self._nest(player)
            cast[role] = replace(player, llm=nests[player.name])
        return cast

    def _nest(self, player: Player) -> LLM:
        if player.address is None:
            return self._lacking
        price = price_of(player.model)
        return Cached(self._lacking, self._cache, player.address, price=price, counts=self._counts)

    async def _lacking(self, _request: Request, /) -> Completion:
        self.missed += 1
        raise NoReply("the answer is not stored")
