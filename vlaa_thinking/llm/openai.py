"""Any server that speaks OpenAI's chat completions: OpenAI, vLLM, Ollama, DeepSeek and many more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from vlaa_thinking.llm import Json, Reply, Request, State, Usage, count_of
from vlaa_thinking.llm.http import PICTURE, Encoded, Endpoint, error_words
from vlaa_thinking.llm.thinking import split_thinking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


class OpenAI(Endpoint):
    """One model behind an OpenAI-compatible server."""

    api = API

    def __init__(self, name: str, model: Model) -> None:
        """Set up a client; raises `ModelError` where the key is missing."""
        super().__init__(name, model, sdk="openai", path="/chat/completions")

    async def body(self, request: Request) -> tuple[Mapping[str, Json], Sequence[Encoded]]:
        """Put a request into the API's form."""
        images: list[Encoded] = []
        messages: list[Json] = []
        for message in request.messages:
            content: Json = message.text
            if message.images:
                parts: list[Json] = []
                for image in message.images:
                    images.append(await self.encoded(image))
                    url = f"data:{images[-1].media_type};base64,{PICTURE}"
                    parts.append({"type": "image_url", "image_url": {"url": url}})
                content = [*parts, {"type": "text", "text": message.text}]
            messages.append({"role": message.role, "content": content})
        body: dict[str, Json] = {**request.params, "messages": messages}
        if request.schema is not None:
            form: Json = {"name": "reply", "schema": request.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        return body, images


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
    usage = said.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Reply(
        text=text.strip(),
        reasoning=str(reasoning).strip(),
        state=state,
        usage=Usage(
            input_tokens=count_of(usage.get("prompt_tokens")),
            output_tokens=count_of(usage.get("completion_tokens")),
        ),
        detail=finish,
    )
