"""What the official SDKs' clients have in common: one raw post, and what its ends mean.

Both clients are spoken to by their public low-level `post`, with the raw response as `cast_to`, plain dict bodies
and the aiohttp transport: a quarter of the processor time of the convenient methods, with the SDK's auth, base
URLs, headers and error classes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import re
from datetime import datetime
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Any

from vlaa_thinking.errors import ModelError, NotSent, Transient
from vlaa_thinking.images import to_send
from vlaa_thinking.llm import Completion, Json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from vlaa_thinking.llm import Image
    from vlaa_thinking.settings import Model

CONTENT = frozenset({400, 413, 422})
"""Statuses that speak of one request's content: recorded, where the model has answered before."""

PASSING = frozenset({408, 409, 429})
"""Statuses, beside all from 500, that may pass."""

RATE = frozenset({429, 529})
"""Statuses that turn a call away for the rate or the load."""

REMAINING = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
)
"""Headers that say how much is left, and when there is more: a duration ("6m0s", "250ms") or a date."""

LONGEST_REST = 60.0
"""Seconds that such a header is believed for at most."""

NO_QUOTA = ("insufficient_quota", "credit balance is too low")
"""What OpenAI (in a 429's code) and Anthropic (in a 400's message) say when the account is empty."""


class Endpoint:
    """One path of one server, through one SDK client: what a provider is built on."""

    api: str
    """The name of the module that reads this API's bodies."""

    def __init__(self, name: str, model: Model, sdk: ModuleType, *, path: str) -> None:
        """Set up a client of `sdk` (openai or anthropic); raises `ModelError` where the key is missing."""
        import aiohttp  # noqa: PLC0415 - heavy
        import httpx2  # noqa: PLC0415

        client = {"openai": "AsyncOpenAI", "anthropic": "AsyncAnthropic"}[sdk.__name__]
        self._name = name
        self._model = model
        self._sdk = sdk
        self._path = path
        self._raw = httpx2.Response
        self._refused = aiohttp.ClientConnectorError
        self._client = getattr(sdk, client)(
            api_key=_key(name, model),
            base_url=model.url,
            max_retries=0,
            timeout=httpx2.Timeout(model.timeout, connect=model.connect_timeout),
            http_client=sdk.DefaultAioHttpClient(
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=model.max_concurrency)
            ),
        )
        self.rest_until = 0.0
        """The event loop's time until which the server's headers say that nothing is left."""

    async def post(self, body: Mapping[str, Json], sent: tuple[str, ...]) -> Completion:
        """Make one attempt; raises `Transient` for what may pass, `ModelError` for what will not."""
        try:
            async with asyncio.timeout(self._model.timeout):
                response = await self._client.post(self._path, cast_to=self._raw, body=body)
                content: bytes = response.content
            self._note_rest(response.headers)
        except self._sdk.APIStatusError as exc:
            self._note_rest(exc.response.headers)
            return self._after_error(exc.status_code, exc.response.content, exc.response.headers, sent)
        except (TimeoutError, self._sdk.APIConnectionError) as exc:
            kind = NotSent if isinstance(_root(exc), self._refused) else Transient
            raise kind(_connection_words(exc, self._model.timeout)) from exc
        completion = Completion(api=self.api, body=content, sent=sent)
        try:
            _ = completion.reply
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as exc:
            raise Transient(f"the reply is not the API's JSON ({type(exc).__name__})") from exc
        return completion

    async def encoded(self, image: Image) -> tuple[str, str, str]:
        """Read an image as it is to be sent, in a thread; returns (media type, base64, SHA-256)."""
        return await asyncio.to_thread(self._encoded, image)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _note_rest(self, headers: Mapping[str, str]) -> None:
        for remaining, reset in REMAINING:
            if headers.get(remaining) == "0":
                rest = min(_duration(headers.get(reset, "")), LONGEST_REST)
                self.rest_until = max(self.rest_until, asyncio.get_running_loop().time() + rest)

    def _encoded(self, image: Image) -> tuple[str, str, str]:
        media_type, data = to_send(
            image, max_side=self._model.max_side, max_bytes=self._model.max_image_bytes
        )
        return media_type, base64.b64encode(data).decode(), hashlib.sha256(data).hexdigest()

    def _after_error(
        self, status: int, body: bytes, headers: Mapping[str, str], sent: tuple[str, ...]
    ) -> Completion:
        detail = error_words(body)
        if any(words in detail for words in NO_QUOTA):
            raise ModelError(f'the account of the model "{self._name}" is used up: {detail}')
        if status in CONTENT:
            return Completion(api=self.api, body=body, status=status, sent=sent)
        if status in PASSING or status >= 500:
            wait = retry_after(headers)
            raise Transient(f"status {status}: {detail}", retry_after=wait, rate_limited=status in RATE)
        key = (
            f"; is {self._model.api_key_env} right?"
            if status in {401, 403} and self._model.api_key_env
            else ""
        )
        raise ModelError(f'the server of the model "{self._name}" answered {status}: {detail}{key}')


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
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except ValueError:
        return None


def _duration(text: str) -> float:
    """Read "1h2m3.5s", "250ms" or an RFC 3339 date; returns seconds from now, 0 for what is neither."""
    if "T" in text:
        try:
            return max(0.0, datetime.fromisoformat(text).timestamp() - time())
        except ValueError:
            return 0.0
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    return sum(float(n) * units[unit] for n, unit in re.findall(r"([\d.]+)(ms|h|m|s)", text))


def _connection_words(error: BaseException, timeout: float) -> str:
    root = _root(error)
    if isinstance(error, TimeoutError):
        return f"no whole reply within {timeout:g} s"
    return f"{type(root).__name__}: {root}"[:300]


def _root(error: BaseException) -> BaseException:
    """Go to the end of the chain of causes: the SDK's own class may say timeout of a refused connection."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _key(name: str, model: Model) -> str:
    if model.api_key_env is None:
        return "none"
    key = os.environ.get(model.api_key_env, "")
    if not key:
        raise ModelError(f'the model "{name}" needs a key: set the environment variable {model.api_key_env}')
    return key
