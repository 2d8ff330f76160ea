"""What the providers have in common: one raw post, and what its ends mean.

The official SDK's client says how its server is spoken to (address, authorisation, headers); aiohttp, which is its own
fast transport, carries the bytes. The SDK's methods are passed by: they take five times the processor time, and what
they give back would be taken apart again.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from importlib import import_module
from time import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from vlaa_thinking.errors import ModelError, Transient, Uncharged
from vlaa_thinking.images import goes_as_it_is, to_send
from vlaa_thinking.llm import Completion, Json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiohttp import ClientSession

    from vlaa_thinking.llm import Image, Request
    from vlaa_thinking.settings import Model

CONTENT = frozenset({400, 413, 422})
"""Statuses that speak of one request's content: recorded, where the model has answered before."""

PASSING = frozenset({408, 409, 429})
"""Statuses, beside all from 500, that may pass."""

RATE = frozenset({429, 503, 529})
"""Statuses that turn a call away for the rate or the load."""

TURNED_DOWN = RATE | {408, 409}
"""Statuses of attempts that no model worked on, so that they cost nothing; a 500, 502 or 504 may come later."""

REMAINING = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
)
"""Headers that say how much is left, and when there is more: a duration ("6m0s", "250ms") or a date."""

LONGEST_REST = 60.0
"""Seconds that such a header is believed for at most."""

LONGEST_RETRY_AFTER = 3600.0
"""Seconds that a Retry-After header is believed for at most."""

CLIENTS = {"openai": "AsyncOpenAI", "anthropic": "AsyncAnthropic"}
"""The asynchronous client of each SDK."""

TALK = "X-Stainless-"
"""Headers by which an SDK tells its maker of the machine it runs on: nothing is served by them."""

SHORTEST_KEY = 8
"""Characters from which a key is one, and not a word that stands for none."""

NO_QUOTA = (
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "credit balance is too low",
    "reached your specified API usage limits",
    "organization has been disabled",
)
"""What OpenAI (in the code of a 429 or a 400) and Anthropic (in the words of a 400) say of an account that can pay
for nothing: no fact about a row, though a 400 looks like one."""


AT_ONCE = 256 * 1024
"""Bytes up to which an image that needs no resizing is read and encoded on the event loop: a fraction of a millisecond."""

PICTURE = secrets.token_hex(16)
"""Stands for an image's base64 in a body, so that the JSON encoder need not go through it; no text can hold it."""

_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """An image as it is sent."""

    media_type: str
    base64: bytes
    sha256: str
    """Of the bytes that are sent, in hex."""


class Endpoint:
    """One path of one server, through one SDK client: what a provider is built on."""

    api: str
    """The name of the module that reads this API's bodies."""

    def __init__(self, name: str, model: Model, *, sdk: str, path: str) -> None:
        """Prepare for a client of `sdk` (openai or anthropic); raises `ModelError` where the key is missing."""
        if urlsplit(model.url or "").username:
            raise ModelError(
                f'the base_url of the model "{name}" holds a user name or a password: name the environment variable '
                "of the key in api_key_env instead"
            )
        self._name = name
        self._model = model
        self._sdk = sdk
        self._path = path
        self._key = key_of_account(name, model)
        self._url = ""
        self._session: ClientSession | None = None
        self._connecting = asyncio.Lock()
        self.rest_until = 0.0
        """The event loop's time until which the server's headers say that nothing is left."""

    @property
    def key(self) -> str:
        """The account's key, a secret."""
        return self._key

    async def body(self, request: Request) -> tuple[Mapping[str, Json], Sequence[Encoded]]:
        """Put a request into the API's form; each `PICTURE` in it stands for the base64 of the next image."""
        raise NotImplementedError

    async def data(self, request: Request) -> tuple[bytes, tuple[str, ...]]:
        """Write a request as it is sent; returns the SHA-256 of each image's bytes beside it."""
        body, images = await self.body(request)
        return _filled_in(_ENCODE(body).encode(), images), tuple(image.sha256 for image in images)

    async def __call__(self, request: Request, /) -> Completion:
        """Make one attempt; raises `Transient` for what may pass, `ModelError` for what will not."""
        import aiohttp  # noqa: PLC0415 - heavy

        data, sent = await self.data(request)
        try:
            session = self._session or await self._connected()
            async with session.post(self._url, data=data, allow_redirects=False) as response:
                content = await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as exc:
            raise Uncharged(f"{type(exc).__name__}: {exc}"[:300]) from exc
        except TimeoutError as exc:
            raise Transient(f"no whole reply within {self._model.timeout:g} s") from exc
        except aiohttp.ClientError as exc:
            raise Transient(f"{type(exc).__name__}: {exc}"[:300]) from exc
        self._note_rest(response.headers)
        return self.finished(response.status, content, response.headers, sent)

    def finished(
        self, status: int, body: bytes, headers: Mapping[str, str], sent: tuple[str, ...]
    ) -> Completion:
        """Say what a whole response means; raises `Transient` and `ModelError` as a call does."""
        content = self._without_key(body)
        if status >= 300:
            return self._after_error(status, content, headers, sent)
        completion = Completion(api=self.api, body=content, sent=sent)
        try:
            _ = completion.reply
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as exc:
            raise Transient(f"the reply is not the API's JSON: {error_words(content)}") from exc
        return completion

    async def _connected(self) -> ClientSession:
        """Return the session, made at the first call: a rebuild from the cache needs none, and no SDK."""
        async with self._connecting:
            if self._session is None:
                self._session = await self._new_session()
        return self._session

    async def _new_session(self) -> ClientSession:
        import aiohttp  # noqa: PLC0415 - heavy

        sdk = import_module(self._sdk)
        async with getattr(sdk, CLIENTS[self._sdk])(api_key=self._key, base_url=self._model.url) as client:
            headers = {**client.default_headers, **client.auth_headers}
            self._url = f"{str(client.base_url).rstrip('/')}{self._path}"
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._model.max_concurrency),
            timeout=aiohttp.ClientTimeout(self._model.timeout, sock_connect=self._model.connect_timeout),
            headers={n: v for n, v in headers.items() if isinstance(v, str) and not n.startswith(TALK)},
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=_proxy(self._url),  # asked once: aiohttp's own trust_env asks the environment at each call
        )

    async def encoded(self, image: Image) -> Encoded:
        """Read an image as it is to be sent: in a thread, unless that is quickly done."""
        if image.length <= AT_ONCE and self._goes_as_it_is(image):
            return self._encoded(image)
        return await asyncio.to_thread(self._encoded, image)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def _note_rest(self, headers: Mapping[str, str]) -> None:
        for remaining, reset in REMAINING:
            if headers.get(remaining) == "0":
                rest = min(_duration(headers.get(reset, "")), LONGEST_REST)
                self.rest_until = max(self.rest_until, asyncio.get_running_loop().time() + rest)

    def _goes_as_it_is(self, image: Image) -> bool:
        return goes_as_it_is(image, max_side=self._model.max_side, max_bytes=self._model.max_image_bytes)

    def _encoded(self, image: Image) -> Encoded:
        media_type, data = to_send(
            image, max_side=self._model.max_side, max_bytes=self._model.max_image_bytes
        )
        digest = image.sha256 if self._goes_as_it_is(image) else hashlib.sha256(data).hexdigest()
        return Encoded(media_type=media_type, base64=base64.b64encode(data), sha256=digest)

    def _without_key(self, body: bytes) -> bytes:
        """Take the key out of what a server says: some repeat it, and what comes in is recorded."""
        return body.replace(self._key.encode(), b"[key]") if len(self._key) >= SHORTEST_KEY else body

    def _after_error(
        self, status: int, body: bytes, headers: Mapping[str, str], sent: tuple[str, ...]
    ) -> Completion:
        detail = error_words(body)
        if any(words in detail for words in NO_QUOTA):
            raise ModelError(f'the account of the model "{self._name}" is used up: {detail}')
        if status < 400:  # the key, and what is asked, go to the declared server alone
            to = urlsplit(urljoin(self._url, headers.get("location", "")))
            there = f"{to.scheme}://{to.netloc.rpartition('@')[2]}{to.path}".removesuffix(self._path)
            raise ModelError(
                f'the server of the model "{self._name}" answered {status} and points to {there}; no call is sent on '
                f"to another address: if it is right, set it as base_url in [model.{self._name}] of "
                "generators/models.toml"
            )
        if status in CONTENT:
            return Completion(api=self.api, body=body, status=status, sent=sent)
        if status in PASSING or status >= 500:
            wait = retry_after(headers)
            kind = Uncharged if status in TURNED_DOWN else Transient
            raise kind(f"status {status}: {detail}", retry_after=wait, rate_limited=status in RATE)
        key = (
            f"; is {self._model.api_key_env} right?"
            if status in {401, 403} and self._model.api_key_env
            else ""
        )
        raise ModelError(f'the server of the model "{self._name}" answered {status}: {detail}{key}')


def _filled_in(body: bytes, images: Sequence[Encoded]) -> bytes:
    if not images:
        return body
    first, *others = body.split(PICTURE.encode())
    pieces = [first]
    for image, text in zip(images, others, strict=True):
        pieces += (image.base64, text)
    return b"".join(pieces)


def error_words(body: bytes) -> str:
    """Find the words of an error body, at most 300 characters of them."""
    try:
        said: Any = json.loads(body)
        error = said.get("error", said)
        words = (
            f"{error.get('message', '')} {error.get('code') or ''}".strip()
            if isinstance(error, dict)
            else str(error)
        )
    except (ValueError, AttributeError):
        words = body.decode(errors="replace")
    return " ".join(words.split())[:300] or "no words"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read a Retry-After header, seconds or a date; returns seconds from now."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time()
        except ValueError:
            return None
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER) if seconds == seconds else None  # noqa: PLR0124 - not a number


def _duration(text: str) -> float:
    """Read "1h2m3.5s", "250ms", bare seconds or an RFC 3339 date; returns seconds from now, 0 for anything else."""
    if "T" in text:
        try:
            return max(0.0, datetime.fromisoformat(text).timestamp() - time())
        except ValueError:
            return 0.0
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "": 1.0}
    return sum(float(n) * units[unit] for n, unit in re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s|$)", text))


def _proxy(url: str) -> str | None:
    """Return the proxy that the environment names for this address."""
    parts = urlsplit(url)
    bypassed = proxy_bypass(parts.hostname or "")
    return None if bypassed else getproxies().get(parts.scheme)


def key_of_account(name: str, model: Model) -> str:
    """Return the key that a model's server asks for; raises `ModelError` where it is missing."""
    if model.api_key_env is None:
        return "none"
    key = os.environ.get(model.api_key_env, "")
    if not key:
        raise ModelError(f'the model "{name}" needs a key: set the environment variable {model.api_key_env}')
    return key
