"""One row's whole way: what was asked at each step, what came back, and how it ended.

Everything after the answer cache is a pure function of it, so the way is walked again rather than kept.
"""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlaa_thinking.cache import Address, Cache, key_of
from vlaa_thinking.counts import Counts
from vlaa_thinking.errors import OutputError
from vlaa_thinking.images import ImageStore
from vlaa_thinking.pipeline import walk
from vlaa_thinking.places import Places
from vlaa_thinking.players import nobody, recalling
from vlaa_thinking.project import Project
from vlaa_thinking.record import changed
from vlaa_thinking.settings import ALL_ROLES, Model
from vlaa_thinking.setup import context_of
from vlaa_thinking.spool import Spool
from vlaa_thinking.steps import Player
from vlaa_thinking.stop import run_to_end

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vlaa_thinking.llm import Completion, Request
    from vlaa_thinking.record import Record
    from vlaa_thinking.settings import Role, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One call of a row's way."""

    step: str
    role: str
    model: str
    request: Request
    asked: bytes
    """The request in canonical form; empty where the model's answers are not stored."""
    completion: Completion | None
    """None: as the project's files stand now, this was not asked yet."""

    @property
    def key(self) -> str:
        """The answer's key in the cache, in hex; "" where answers are not stored."""
        return key_of(self.asked).hex() if self.asked else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One row's whole way."""

    record: Record
    """As the last build left it."""
    exchanges: tuple[Exchange, ...]
    """The calls that the project, as it stands now, makes for it."""
    split: str | None
    """"sft/train", say; None for a row that failed."""
    why: str | None
    """Why it went there."""


def show(row_id: str, *, out: Path | str = "vlaa-dataset") -> list[Trace]:
    """Walk the way of the rows with this id (`source/id`, or the id alone) again, from recorded answers.

    No model is called. Raises `OutputError` where `out` has no finished build beside it, or no such row.
    """
    places = Places(out)
    note = note_of(places)
    settings = Project.open(note["project"]).settings(note["profile"], note["preset"])
    with ExitStack() as stack:
        spool = stack.enter_context(closing(Spool(places.spool, fresh=False)))
        cache = stack.enter_context(closing(Cache(Path(note["cache"]))))
        found = spool.find(row_id)
        if not found:
            raise OutputError(f'{places.out} has no row "{row_id}": ids are in the column `id`, as source/id')
        return [
            Trace(
                record=r, exchanges=run_to_end(_walk_again(r, settings, note, cache, places)), split=s, why=w
            )
            for r, s, w in found
        ]


async def _walk_again(
    record: Record, settings: Settings, note: dict[str, Any], cache: Cache, places: Places
) -> tuple[Exchange, ...]:
    exchanges: list[Exchange] = []

    def told(model: str, request: Request, asked: bytes, completion: Completion | None) -> None:
        exchange = Exchange(
            step=request.step,
            role=request.role,
            model=model,
            request=request,
            asked=asked,
            completion=completion,
        )
        exchanges.append(exchange)

    cast: dict[Role, Player] = {
        role: recalling(player, cache, told) for role, player in noted_players(settings, note).items()
    }
    context = context_of(settings, ImageStore(places.images, cache), cast)
    await walk(as_collected(record), context, Counts())
    return tuple(exchanges)


def as_collected(record: Record) -> Record:
    """Return the record as `collect` made it."""
    if record.outcome is not None and record.outcome.step == "collect":
        return record
    made = {"caption", "teacher_response", "teacher_reasoning", "prediction", "found_by", "reasoning"}
    made |= {"answer_text", "word_gap", "word_edits", "score", "second", "outcome"}
    made |= {"caption_signals", "draw", "teacher_pass_rate", "policy_pass_rate"}
    blank: dict[str, Any] = dict.fromkeys(made)
    return changed(record, cues=(), models=(), **blank)


def noted_players(settings: Settings, note: Mapping[str, Any]) -> dict[Role, Player]:
    """Return the players as the last build had them, and nobody behind them; a caller's own is known by its note alone."""
    cast: dict[Role, Player] = {}
    for role in ALL_ROLES:
        noted = note["players"].get(role)
        if noted is None or not (role in settings.roles or noted["own"]):
            continue
        address = Address(**noted["address"]) if noted["address"] else None
        model = Model(api="plain") if noted["own"] else settings.models[settings.roles[role]]
        cast[role] = Player(
            name=noted["name"], llm=nobody, gate=None, model=model, address=address, own=noted["own"]
        )
    return cast


def note_of(places: Places) -> dict[str, Any]:
    """Read what the last build wrote down of itself; raises `OutputError` where none was finished."""
    try:
        note: dict[str, Any] = json.loads(places.run.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise OutputError(f"{places.work} holds no finished build: run `vlaa-thinking build` first") from None
    return note
