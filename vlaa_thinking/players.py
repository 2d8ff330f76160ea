"""Who plays which role: models of the project, or a caller's own, each in its nest of wrappers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from vlaa_thinking.batches.account import Account, Asker, service_of
from vlaa_thinking.cache import Address, canonical, key_of
from vlaa_thinking.errors import ModelError, NoReply, SetupError
from vlaa_thinking.images import resize_policy
from vlaa_thinking.llm import Completion, Request
from vlaa_thinking.llm.budget import Budgeted
from vlaa_thinking.llm.http import Endpoint
from vlaa_thinking.llm.limit import Limited
from vlaa_thinking.llm.pace import Tokens
from vlaa_thinking.llm.sockets import make_room
from vlaa_thinking.llm.wrap import Cached, Counted, Retrying, Standing
from vlaa_thinking.log import Attempted, Logged
from vlaa_thinking.prices import price_of
from vlaa_thinking.settings import ALL_ROLES, Model
from vlaa_thinking.steps import Player, longer, params_of
from vlaa_thinking.toml import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AsyncExitStack

    from vlaa_thinking.batches.courier import Courier
    from vlaa_thinking.batches.journal import Journal
    from vlaa_thinking.cache import Cache
    from vlaa_thinking.counts import Counts
    from vlaa_thinking.llm import LLM
    from vlaa_thinking.llm.budget import Budget
    from vlaa_thinking.log import Log
    from vlaa_thinking.settings import Role, Settings

Told = Callable[[str, Request, bytes, Completion | None], None]
"""Hears of a request: its model's name, itself, its canonical form, its answer if there is one."""

APIS = ("openai", "anthropic", "demo")
"""What `api` may be in models.toml."""

OURS = ("messages", "n", "stream", "system")
"""Parameters that no project may set: one reply is asked for at a time, and read whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What all players of one build share."""

    journal: Journal | None = None
    """What is known of batches under way; None: all calls are live."""
    batches: bool = True
    """Whether models in batch mode send batches; if not, they are called live."""
    couriers: dict[str, Courier] = field(default_factory=dict[str, "Courier"])
    """Who carries the batches of a model, by API, identity and model."""

    cache: Cache
    counts: Counts
    budget: Budget | None
    stack: AsyncExitStack
    """Where connections are closed at the end."""
    again: tuple[str, ...] = ()
    """States whose stored replies are asked for anew."""
    log: Log | None = None
    """Where calls are noted."""


def players(settings: Settings, llms: Mapping[str, LLM] | None, table: Table) -> dict[Role, Player]:
    """Set up the model of each role; one nest a model, so that its limits hold over all its roles."""
    given = llms or {}
    for role in given:
        if role not in ALL_ROLES:
            raise SetupError(f'llms: there is no role "{role}"{nearest(role, ALL_ROLES)}')
    nests: dict[int | str, Player] = {}
    cast: dict[Role, Player] = {}
    for role in cast_roles(settings, given):
        own = given.get(role)
        name = settings.roles.get(role, "")
        key: int | str = name if own is None else id(own)
        if key not in nests:
            if own is None:
                model = settings.models[name]
                llm = provider(name, model)
                close = getattr(llm, "aclose", None)
                if close is not None:
                    table.stack.push_async_callback(close)
            else:
                model, llm = Model(api="plain"), own
                name = own_name(own)
            nests[key] = _player(name, model, llm, table, own=own is not None)
        cast[role] = nests[key]
    make_room(sum(player.model.max_concurrency for player in nests.values() if player.model.url))
    _see_params(settings, cast, budget=table.budget is not None)
    return cast


def cast_roles(settings: Settings, llms: Mapping[str, LLM] | None) -> tuple[Role, ...]:
    """List the roles that somebody plays: the profile's, and the policy where the caller brings one."""
    return tuple(role for role in ALL_ROLES if role in settings.roles or role in (llms or {}))


def own_name(llm: LLM) -> str:
    """Name a caller's own model as rows will: by its identity, unless that is an address, else by its own name."""
    identity = str(getattr(llm, "identity", "") or "")
    return identity if identity and "/" not in identity else getattr(llm, "__name__", type(llm).__name__)


def recalled(settings: Settings, llms: Mapping[str, LLM] | None, cache: Cache) -> dict[Role, Player]:
    """Set up players that answer from the cache alone: no key is needed and no call is made."""
    from vlaa_thinking.demo.teacher import Teacher  # noqa: PLC0415 - imported when asked for

    cast: dict[Role, Player] = {}
    for role in cast_roles(settings, llms):
        own = (llms or {}).get(role)
        if own is None:
            name, model = settings.roles[role], settings.models[settings.roles[role]]
            identity = Teacher.identity if model.api == "demo" else None
        else:
            name, model, identity = own_name(own), Model(api="plain"), getattr(own, "identity", None)
        player = Player(
            name=name,
            llm=nobody,
            gate=None,
            model=model,
            address=address_of(model, identity),
            own=own is not None,
        )
        cast[role] = recalling(player, cache, lambda *_: None)
    return cast


async def nobody(request: Request, /) -> Completion:
    """Answer for a player that is never to be asked."""
    raise NoReply(f"nobody plays the {request.role}")


def recalling(player: Player, cache: Cache, told: Told) -> Player:
    """Return the player as one that answers from the cache alone.

    `told` hears of every request, with its canonical form and its answer; where there is none, the row fails.
    """
    address = player.address

    async def recall(request: Request, /) -> Completion:
        asked = canonical(request, address) if address else b""
        completion = cache.get(key_of(asked)) if asked else None
        told(player.name, request, asked, completion)
        if completion is None:
            raise NoReply("this was not asked yet")
        return completion

    return replace(player, llm=recall, gate=None)


def provider(name: str, model: Model) -> LLM:
    """Make the model itself; its SDK is imported only here."""
    if model.api == "openai":
        from vlaa_thinking.llm.openai import OpenAI  # noqa: PLC0415 - imported when asked for

        return OpenAI(name, model)
    if model.api == "anthropic":
        from vlaa_thinking.llm.anthropic import Anthropic  # noqa: PLC0415

        return Anthropic(name, model)
    if model.api == "demo":
        from vlaa_thinking.demo.teacher import Teacher  # noqa: PLC0415

        return Teacher()
    raise ModelError(f'the model "{name}" has the api "{model.api}"{nearest(model.api, APIS)}')


def address_of(model: Model, own: str | None = None) -> Address | None:
    """Say where a model's answers stand in the cache: by its declared identity, else its own, else its server."""
    identity = model.identity or own or (without_credentials(model.url) if model.url else None)
    if identity is None:
        return None
    resize = resize_policy(model.max_side, model.max_image_bytes)
    return Address(api=model.api, identity=identity, resize=resize)


def without_credentials(url: str) -> str:
    """Take user, password and query out of a URL."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def _took(cache: Cache, who: str, request: Request, limit: str) -> bool:
    """Say whether a model has answered a request with these parameters, whatever its `limit` on the reply."""

    def form(params: Mapping[str, Any], schema: Any) -> Any:  # noqa: ANN401 - any JSON
        return json.loads(json.dumps([{k: v for k, v in params.items() if k != limit}, schema]))

    wanted = form(request.params, request.schema)
    asked = map(json.loads, cache.asked_of(who))
    return any(form(said["params"], said["schema"]) == wanted for said in asked)


def _batched(live: LLM, asker: Asker, address: Address, table: Table, journal: Journal) -> LLM:
    """Put a courier of batches beside a model's live nest, where it is in batch mode or batches of it are under way."""
    from vlaa_thinking.batches.batched import Batched  # noqa: PLC0415
    from vlaa_thinking.batches.courier import Courier  # noqa: PLC0415

    model = asker.model
    who = address.who(model.params.get("model", model.model))
    only_held = model.mode == "live" or not table.batches
    if only_held and not journal.open(who):
        return live
    if who not in table.couriers:
        account = Account(
            asker=asker,
            who=who,
            price=price_of(model, "batch"),
            service=service_of(asker.name, model, asker.endpoint.key),
            journal=journal,
            cache=table.cache,
            counts=table.counts,
            budget=table.budget,
        )
        courier = table.couriers[who] = Courier(account)
        table.stack.push_async_callback(courier.aclose)
    return Batched(live, table.couriers[who], asker, address, only_held=only_held)


def _see_params(settings: Settings, cast: Mapping[Role, Player], *, budget: bool) -> None:
    """Refuse parameters that cannot be sent, and with a budget a request that states no limit on its reply."""
    for step, prompt in settings.prompts.items():
        player = cast.get(prompt.head.role)
        if player is None or player.own:
            continue
        params, at = params_of(prompt.head.params, player.model), f"[model.{player.name}.params]"
        for key in OURS:
            if key in params:
                raise SetupError(
                    f'the parameter "{key}" is not a project\'s to set: take it out of {at} in '
                    f"generators/models.toml, or out of [params] in the prompt of the step {step}"
                )
        try:
            json.dumps(params, allow_nan=False)
        except (TypeError, ValueError):
            raise SetupError(
                f"the parameters of the step {step} hold what JSON has no word for (a date, nan or inf): see {at} "
                "in generators/models.toml and [params] in the prompt"
            ) from None
        price, field = price_of(player.model), player.model.max_tokens_field
        if budget and price is not None and price.output and not isinstance(params.get(field), int):
            raise SetupError(
                f'a budget needs a limit on every reply, and the model "{player.name}" is sent none in the step '
                f"{step}: set {field} in {at} of generators/models.toml"
            )


def _player(name: str, model: Model, llm: LLM, table: Table, *, own: bool) -> Player:
    """Wrap a model in its nest; without an identity nothing is cached."""
    counts, price = table.counts, price_of(model, "live")
    if table.budget is not None and price is None and own:
        raise SetupError(
            f'a budget needs every price, and that of your own "{name}" is not known: leave it out'
        )
    if table.budget is not None and price is None:
        raise SetupError(
            f'a budget needs every price, and that of the model "{name}" is not known: set input_price and '
            f"output_price (US dollars per million tokens) in [model.{name}] of generators/models.toml"
        )
    budgeted = Budgeted(llm, model=model, price=price, budget=table.budget, counts=counts)
    tokens = Tokens(model, model.tpm) if model.tpm else None
    limited = Limited(budgeted, model.max_concurrency, rpm=model.rpm, tokens=tokens)
    attempted = Attempted(limited) if table.log else limited
    address = address_of(model, getattr(llm, "identity", None))
    who = address.who(model.params.get("model", model.model)) if address else None
    standing = Standing(
        recorded=lambda: who is not None and table.cache.knows(who),
        took=lambda request: who is not None and _took(table.cache, who, request, model.max_tokens_field),
    )
    hint = (
        f"; see that its server runs and its base_url is right ({without_credentials(model.url)})"
        if model.url
        else ""
    )
    retrying = Retrying(attempted, name=name, hint=hint, tries=model.tries, standing=standing, counts=counts)
    nest: LLM = Counted(retrying, counts)
    if address is not None and isinstance(llm, Endpoint) and table.journal is not None:
        asker = Asker(name=name, model=model, endpoint=llm, standing=standing)
        nest = _batched(nest, asker, address, table, table.journal)
    if address is not None:
        nest = Cached(
            nest,
            table.cache,
            address,
            price=price_of(model),
            counts=counts,
            again=table.again,
            longer=lambda request: longer(request, model),
        )
    if table.log:
        nest = Logged(nest, table.log, name=name, address=address)
    return Player(name=name, llm=nest, gate=limited, model=model, address=address, own=own)
