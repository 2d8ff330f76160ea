"""Anthropic's messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from vlaa_thinking.errors import ModelError
from vlaa_thinking.llm import Json, Reply, Request, State, Usage, count_of
from vlaa_thinking.llm.http import PICTURE, Encoded, Endpoint, error_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vlaa_thinking.settings import Model

API = "anthropic"

FINISHED: Mapping[str, State] = {
    "end_turn": "ok",
    "stop_sequence": "ok",
    "max_tokens": "truncated",
    "model_context_window_exceeded": "truncated",
    "refusal": "refused",
}
"""What a `stop_reason` means; an unknown one is taken for `ok`."""


class Anthropic(Endpoint):
    """One model behind Anthropic's API, or a server that speaks it."""

    api = API

    def __init__(self, name: str, model: Model) -> None:
        """Set up a client; raises `ModelError` where the key is missing."""
        super().__init__(name, model, sdk="anthropic", path="/v1/messages")

    async def body(self, request: Request) -> tuple[Mapping[str, Json], Sequence[Encoded]]:
        """Put a request into the API's form."""
        images: list[Encoded] = []
        messages: list[Json] = []
        system: list[str] = []
        for message in request.messages:
            if message.role == "system":
                system.append(message.text)
                continue
            parts: list[Json] = []
            for image in message.images:
                images.append(await self.encoded(image))
                source: Json = {"type": "base64", "media_type": images[-1].media_type, "data": PICTURE}
                parts.append({"type": "image", "source": source})
            parts.append({"type": "text", "text": message.text})
            messages.append({"role": message.role, "content": parts})
        if "max_tokens" not in request.params:
            raise ModelError(
                f'the model "{self._name}" needs max_tokens: set it in the prompt\'s [params] or in '
                f"[model.{self._name}.params] of generators/models.toml"
            )
        body: dict[str, Json] = {**request.params, "messages": messages}
        if system:
            body["system"] = "\n\n".join(system)
        if request.schema is not None:
            body["output_config"] = _with_format(request.params.get("output_config"), request.schema)
        return body, images


def _with_format(config: Json, schema: Json) -> Json:
    """Put a reply's schema beside what the model's own `output_config` says, its effort for one."""
    form: Json = {"type": "json_schema", "schema": schema}
    return {**config, "format": form} if isinstance(config, Mapping) else {"format": form}


def read(body: bytes, status: int) -> Reply:
    """Read a raw message; raises `ValueError`, `KeyError` or `TypeError` if it is none.

    Thinking blocks are kept apart from the text; a redacted one has no words and leaves none.
    """
    if status >= 400:
        return Reply(text="", reasoning="", state="refused", usage=Usage(), detail=error_words(body))
    said = json.loads(body)
    blocks = said["content"]
    text = "".join(b["text"] for b in blocks if b["type"] == "text").strip()
    reasoning = "\n".join(b["thinking"] for b in blocks if b["type"] == "thinking").strip()
    stop = str(said.get("stop_reason") or "end_turn")
    state = FINISHED.get(stop, "ok")
    if state == "ok" and not text:
        state = "empty"
    usage = said.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    read_in = [
        count_of(usage.get(k))
        for k in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    ]
    return Reply(
        text=text,
        reasoning=reasoning,
        state=state,
        usage=Usage(
            input_tokens=None if read_in[0] is None else sum(n or 0 for n in read_in),
            output_tokens=count_of(usage.get("output_tokens")),
        ),
        detail=stop,
    )
