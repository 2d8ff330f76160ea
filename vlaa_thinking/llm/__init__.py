"""A model call: a `Request` goes in, a `Completion` comes out, through callables of one shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from pathlib import Path

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
"""Anything that `json` reads and writes."""

State = Literal["ok", "truncated", "refused", "filtered", "empty"]
"""How a finished reply ended. Only `ok` is ever read as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image of a message: named by its original bytes, read only when it is sent."""

    sha256: str
    """Of the original bytes, in hex: this is what the cache's key holds."""
    format: str
    """As Pillow names it: "PNG", "JPEG" ..."""
    width: int
    height: int
    length: int
    """Length of the original file."""
    path: Path
    """Where the original bytes are stored; never part of a key."""
    turned: bool = False
    """Whether it is to be turned upright before it is sent."""

    def read(self) -> bytes:
        """Return the original bytes."""
        return self.path.read_bytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a conversation; its images stand before its text."""

    role: Literal["system", "user", "assistant"]
    text: str
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """All that decides an answer, with what the way there needs to know (role, step, values)."""

    messages: tuple[Message, ...]
    params: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """The sampling parameters that are sent, by the API's own names; an absent one is not sent."""
    schema: Mapping[str, Json] | None = None
    """A JSON Schema that the reply's text is asked to follow."""
    sample: int = 0
    """Which draw this is, where several are made of the same request."""
    role: str = ""
    """Who is asked: captioner, reasoner, rewriter, judge or policy. Not part of the key."""
    step: str = ""
    """Who asks; later steps go first where calls wait. Not part of the key."""
    values: Mapping[str, str] = field(default_factory=dict[str, str])
    """What was rendered into the prompt, for models that work by rule. Not part of the key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one call as the provider counted them; None: it did not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a raw body says, in one form for all APIs."""

    text: str
    reasoning: str
    """The model's thinking, from inline `<think>` text or from the provider's own field."""
    state: State
    usage: Usage
    detail: str = ""
    """The provider's own word for the state: its finish reason, or its error's message."""


@dataclass(frozen=True, kw_only=True)
class Completion:
    """A finished reply as it came; what it says is read on demand, fresh and cached alike."""

    api: str
    """Which API's form `body` has: the name of a module of this package."""
    body: bytes
    """The raw body."""
    status: int = 200
    """The HTTP status; a 4xx about one request's content is a recorded refusal."""
    sent: tuple[str, ...] = ()
    """SHA-256 of each image's bytes as they were sent, after the resize policy."""

    @classmethod
    def of(
        cls,
        text: str,
        *,
        reasoning: str = "",
        state: State = "ok",
        usage: Usage | None = None,
        detail: str = "",
    ) -> Completion:
        """Make a completion in this package's own plain form, for callables that are no HTTP API."""
        body: dict[str, Json] = {"text": text, "reasoning": reasoning, "state": state, "detail": detail}
        if usage is not None:
            body["usage"] = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
        return cls(api="plain", body=json.dumps(body, ensure_ascii=False).encode())

    @cached_property
    def reply(self) -> Reply:
        """What the body says; read once by the one reader of its API."""
        said = _reader(self.api)(self.body, self.status)
        if said.text.isascii() and said.reasoning.isascii() and said.detail.isascii():
            return said
        return replace(
            said, text=_sound(said.text), reasoning=_sound(said.reasoning), detail=_sound(said.detail)
        )

    @property
    def text(self) -> str:
        """The answer's text, without reasoning."""
        return self.reply.text

    @property
    def reasoning(self) -> str:
        """The reasoning, "" if there is none."""
        return self.reply.reasoning

    @property
    def state(self) -> State:
        """How the reply ended."""
        return self.reply.state

    @property
    def usage(self) -> Usage:
        """Tokens as the provider counted them."""
        return self.reply.usage


@cache
def _reader(api: str) -> Callable[[bytes, int], Reply]:
    read: Callable[[bytes, int], Reply] = import_module(f"{__name__}.{api}").read
    return read


def _sound(text: str) -> str:
    """Replace lone surrogates, which JSON can carry and no file can."""
    return text.encode("utf-8", "replace").decode()


def count_of(value: object) -> int | None:
    """Read a count of tokens; what is no whole number is not known."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


class LLM(Protocol):
    """Anything that answers a request: a provider, a wrapper around one, or a user's own function.

    Raises `NoReply` for a call that ended without a reply, `ModelError` for a model that cannot be
    used at all. An attribute `identity: str` lets its answers be cached under that name.
    """

    async def __call__(self, request: Request, /) -> Completion:
        """Answer one request."""
        ...
