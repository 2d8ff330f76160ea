"""The steps a record walks: one async function each, from record to changed copy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from vlaa_thinking.llm import Image, Json, Message, Request
from vlaa_thinking.record import Picture, Record, changed

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

    from vlaa_thinking.cache import Address
    from vlaa_thinking.images import ImageStore
    from vlaa_thinking.llm import LLM, Completion
    from vlaa_thinking.llm.limit import Limited
    from vlaa_thinking.settings import Model, Role, Settings

T = TypeVar("T")

MORE_TOKENS = 4
"""A truncated reply is asked for once more with so many times the `max_tokens`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """The model that plays a role: its name, its nest of wrappers, how it is spoken to."""

    name: str
    llm: LLM
    gate: Limited | None
    """Where its calls pass; None where no call is made."""
    model: Model
    address: Address | None
    """Where its answers stand in the cache; None: they are not cached."""
    own: bool
    """Whether it is the caller's, and not one of models.toml."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a step may use."""

    settings: Settings
    players: Mapping[Role, Player]
    checks: Mapping[str, Callable[..., Any]]
    """By answer type; each a `vlaa_thinking.checks.Check`."""
    images: ImageStore

    @property
    def gates(self) -> set[Limited]:
        """Where all calls pass: one gate a model."""
        return {player.gate for player in self.players.values() if player.gate}

    async def ask(
        self,
        step: str,
        record: Record,
        values: Mapping[str, str],
        *,
        picture: Picture | None = None,
        schema: Mapping[str, Json] | None = None,
        sample: int = 0,
    ) -> tuple[Record, Completion]:
        """Ask the model of `step`'s role; returns the record with that model noted, and the reply.

        `picture` goes along, before the text; `sample` says which draw of the same request this is. A truncated
        reply is asked for once more with a larger `max_tokens`; with a `schema`, a reply that is not JSON of that
        form gets one corrective turn.
        """
        prompt = self.settings.prompts[step]
        role = prompt.head.role
        player = self.players[role]
        system, user = prompt.render(values)
        images = (self._image(picture),) if picture else ()
        request = Request(
            messages=(Message(role="system", text=system), Message(role="user", text=user, images=images)),
            params=params_of(prompt.head.params, player.model),
            schema=schema if player.model.takes_schema else None,
            sample=sample,
            role=role,
            step=step,
            values=values,
        )
        completion = await self._whole(player, request)
        if schema is not None and completion.state == "ok" and parse(completion.text, schema) is None:
            completion = await self._whole(player, _corrected(request, completion))
        return changed(record, models=(*record.models, (role, player.name))), completion

    async def _whole(self, player: Player, request: Request) -> Completion:
        completion = await player.llm(request)
        further = longer(request, player.model) if completion.state == "truncated" else None
        if further is None:
            return completion
        second = await player.llm(further)
        # A server that has no room for more turns the second request down: the first reply stands.
        return completion if second.status >= 400 else second

    def _image(self, picture: Picture) -> Image:
        return Image(
            sha256=picture.sha256,
            format=picture.format,
            width=picture.width,
            height=picture.height,
            length=picture.bytes,
            path=self.images.path(picture.sha256),
            turned=picture.turned,
        )


Step = Callable[[Record, Context], Awaitable[Record]]
"""One step of a record's way."""


def picture_of(record: Record) -> Picture:
    """Return the record's image; a step that shows one never sends a request without it."""
    if record.picture is None:  # `collect` drops such rows
        raise AssertionError(f"{record.id}: this step needs an image")
    return record.picture


async def every(draws: Sequence[Awaitable[T]]) -> list[T]:
    """Wait for all draws, then raise what one of them raised: none that is paid for is cut off."""
    if len(draws) == 1:
        return [await draws[0]]
    done = await asyncio.gather(*draws, return_exceptions=True)
    for result in done:
        if isinstance(result, BaseException):
            raise result
    return [result for result in done if not isinstance(result, BaseException)]


_UNFINISHED = {
    "truncated": "the reply was cut at max_tokens, twice",
    "refused": "the model refused to answer",
    "filtered": "the provider's content filter cut the reply",
    "empty": "the reply was empty",
}


def unfinished(record: Record, step: str, completion: Completion) -> Record:
    """Drop a record whose reply ended in another state than `ok`."""
    role = completion.reply
    evidence = role.text or role.detail
    return record.drop(
        step, completion.state, f"{step}: {_UNFINISHED[completion.state]}", evidence[:500] or None
    )


def parse(text: str, schema: Mapping[str, Json]) -> dict[str, Any] | None:
    """Read a JSON object of the form `schema` out of a reply, code fences or not; None if there is none."""
    _validator(schema)
    return _read(text, id(schema))


def prepare_to_parse() -> None:
    """Import what `parse` needs: thirty milliseconds, which replies would have to wait for."""
    import jsonschema  # noqa: F401, PLC0415 - heavy


@lru_cache(maxsize=64)  # a reply is read where it is asked for, and again where it is made use of
def _read(text: str, schema: int) -> dict[str, Any] | None:
    start, end = text.find("{"), text.rfind("}")
    try:
        said = json.loads(text[start : end + 1])
    except ValueError:
        return None
    return said if isinstance(said, dict) and _validators[schema][1].is_valid(said) else None


_validators: dict[int, tuple[Mapping[str, Json], Validator]] = {}
"""By the schema's identity, with the schema, so that no other takes its place."""


def _validator(schema: Mapping[str, Json]) -> None:
    """Make the schema's validator, if it is not made yet."""
    if id(schema) not in _validators:
        import jsonschema  # noqa: PLC0415 - heavy

        _validators[id(schema)] = (schema, jsonschema.Draft202012Validator(schema))


def _corrected(request: Request, completion: Completion) -> Request:
    wish = "That is not the JSON object that was asked for. Reply with that object alone, and with nothing around it."
    turns = (Message(role="assistant", text=completion.text), Message(role="user", text=wish))
    return replace(request, messages=request.messages + turns)


def longer(request: Request, model: Model) -> Request | None:
    """Return the request that follows a truncated reply, with a larger limit; None where it states no limit."""
    field = model.max_tokens_field
    limit = request.params.get(field)
    if not isinstance(limit, int):
        return None
    return replace(request, params={**request.params, field: limit * MORE_TOKENS})


def params_of(asked: Mapping[str, Json], model: Model) -> dict[str, Json]:
    """Merge a prompt's parameters with its model's: exactly what is sent, by the API's own names."""
    params = {key: value for key, value in asked.items() if key not in model.omit}
    if "max_tokens" in params:
        params[model.max_tokens_field] = params.pop("max_tokens")
    if model.model is not None:
        params["model"] = model.model
    return {**params, **model.params}
