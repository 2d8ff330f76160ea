"""Any server that speaks OpenAI's chat completions: OpenAI, vLLM, Ollama, DeepSeek and many more.

Calls go through the official client's low-level `post` with plain dict bodies on its aiohttp transport: a
quarter of the processor time of `chat.completions.create`, with its auth, headers and error classes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import re
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from vlaa_thinking.errors import ModelError, Transient
from vlaa_thinking.images import resize_policy, to_send
from vlaa_thinking.llm import Completion, Json, Reply, Request, State, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vlaa_thinking.llm import Image
    from vlaa_thinking.settings import Model

API = "openai"

FINISHED: Mapping[str, State] = {
    "stop": "ok",
    "eos": "ok",
    "length": "truncated",
    "max_tokens": "truncated",
    "content_filter": "filtered",
}
"""What a server's `finish_reason` means; an unknown one is taken for `ok`."""


class OpenAI:
    """One model behind an OpenAI-compatible server."""

    api = API

    def __init__(self, name: str, model: Model) -> None:
        """Set up a client; raises `ModelError` where the key is missing."""
        import httpx2  # noqa: PLC0415 - heavy
        import openai  # noqa: PLC0415

        base_url = model.base_url or "https://api.openai.com/v1"
        key = "none"
        if model.api_key_env:
            key = os.environ.get(model.api_key_env, "")
            if not key:
                raise ModelError(
                    f'the model "{name}" needs a key: set the environment variable {model.api_key_env}'
                )
        self._name = name
        self._model = model
        self._openai = openai
        self._raw = httpx2.Response
        self._client = openai.AsyncOpenAI(
            api_key=key,
            base_url=base_url,
            max_retries=0,
            timeout=httpx2.Timeout(model.timeout, connect=model.connect_timeout),
            http_client=openai.DefaultAioHttpClient(
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=model.max_concurrency)
            ),
        )
        self.identity = model.identity or without_credentials(base_url)
        self.resize = resize_policy(model.max_side, model.max_image_bytes)

    async def __call__(self, request: Request, /) -> Completion:
        """Make one attempt; raises `Transient` for what may pass, `ModelError` for what will not."""
        body, sent = await self._body(request)
        try:
            async with asyncio.timeout(self._model.timeout):
                response = await self._client.post("/chat/completions", cast_to=self._raw, body=body)
                content = response.content
        except self._openai.APIStatusError as exc:
            return self._after_error(exc.status_code, exc.response.content, exc.response.headers, sent)
        except (TimeoutError, self._openai.APIConnectionError) as exc:
            raise Transient(_connection_words(exc, self._model.timeout)) from exc
        completion = Completion(api=API, body=content, sent=sent)
        try:
            _ = completion.reply
        except (ValueError, KeyError, TypeError, IndexError) as exc:
            raise Transient(f"the reply is not the API's JSON ({type(exc).__name__})") from exc
        return completion

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _body(self, request: Request) -> tuple[dict[str, Json], tuple[str, ...]]:
        sent: list[str] = []
        messages: list[Json] = []
        for message in request.messages:
            if not message.images:
                messages.append({"role": message.role, "content": message.text})
                continue
            parts: list[Json] = []
            for image in message.images:
                url, digest = await asyncio.to_thread(self._data_url, image)
                parts.append({"type": "image_url", "image_url": {"url": url}})
                sent.append(digest)
            parts.append({"type": "text", "text": message.text})
            messages.append({"role": message.role, "content": parts})
        body: dict[str, Json] = {**request.params, "messages": messages}
        if request.schema is not None and self._model.structured:
            form: Json = {"name": "reply", "schema": request.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        return body, tuple(sent)

    def _data_url(self, image: Image) -> tuple[str, str]:
        media_type, data = to_send(
            image, max_side=self._model.max_side, max_bytes=self._model.max_image_bytes
        )
        return f"data:{media_type};base64,{base64.b64encode(data).decode()}", hashlib.sha256(data).hexdigest()

    def _after_error(
        self, status: int, body: bytes, headers: Mapping[str, str], sent: tuple[str, ...]
    ) -> Completion:
        detail = error_words(body)
        if status in {400, 413, 422}:
            return Completion(api=API, body=body, status=status, sent=sent)
        if status in {408, 409, 429} or status >= 500:
            if "insufficient_quota" in detail:
                raise ModelError(f'the quota of the model "{self._name}" is used up: {detail}')
            raise Transient(
                f"status {status}: {detail}",
                retry_after=retry_after(headers),
                rate_limited=status in {429, 529},
            )
        key = (
            f"; is {self._model.api_key_env} right?"
            if status in {401, 403} and self._model.api_key_env
            else ""
        )
        raise ModelError(f'the server of the model "{self._name}" answered {status}: {detail}{key}')


def read(body: bytes, status: int) -> Reply:
    """Read a raw chat completion; raises `ValueError`, `KeyError` or `TypeError` if it is none."""
    if status >= 400:
        return Reply(text="", reasoning="", state="refused", usage=Usage(), detail=error_words(body))
    said = json.loads(body)
    choice = said["choices"][0]
    message = choice["message"]
    text = message.get("content") or ""
    if not isinstance(text, str):
        raise TypeError("content is not text")
    reasoning = message.get("reasoning_content") or message.get("reasoning") or ""
    if not reasoning:
        reasoning, text = split_thinking(text)
    finish = str(choice.get("finish_reason") or "stop")
    state = FINISHED.get(finish, "ok")
    if message.get("refusal"):
        state, text = "refused", message["refusal"]
    elif state == "ok" and not text.strip():
        state = "empty"
    usage = said.get("usage") or {}
    return Reply(
        text=text.strip(),
        reasoning=str(reasoning).strip(),
        state=state,
        usage=Usage(input_tokens=usage.get("prompt_tokens"), output_tokens=usage.get("completion_tokens")),
        detail=finish,
    )


def split_thinking(text: str) -> tuple[str, str]:
    """Split inline thinking off a text that begins with `<think>`; returns (reasoning, rest).

    A reply may quote the tags themselves: of several `</think>` the last one counts that leaves the answer's
    own tags whole behind it.
    """
    start = text.lstrip()
    if not start.startswith("<think>"):
        return "", text
    inside = start.removeprefix("<think>")
    for end in reversed([m.start() for m in re.finditer("</think>", inside)]):
        rest = inside[end + len("</think>") :]
        if rest.count("<answer>") == rest.count("</answer>"):
            return inside[:end], rest
    return inside, ""


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


def without_credentials(url: str) -> str:
    """Take user, password and query out of a URL."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def _connection_words(error: BaseException, timeout: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no whole reply within {timeout:g} s"
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    return f"{type(root).__name__}: {root}"[:300]
