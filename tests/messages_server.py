"""A small server on loopback that speaks Anthropic's messages, for tests: `with MessagesServer(reply) as server: ...`."""

import json
from typing import Any

from chat_server import ChatServer


class MessagesServer(ChatServer):
    """`POST /v1/messages`; a hook's message has `content` (text or blocks), and may have `stop_reason` and `usage`."""

    path = "/v1/messages"

    @property
    def url(self) -> str:
        """The base URL that a client is given: without /v1, as Anthropic's own."""
        return super().url.removesuffix("/v1")

    def form(self, request: dict[str, Any], message: dict[str, Any], number: int) -> dict[str, Any]:
        """Put a hook's message into the API's form."""
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        usage = {
            "input_tokens": len(json.dumps(request["messages"])) // 4,
            "output_tokens": len(json.dumps(blocks)) // 4,
        }
        return {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "model": request["model"],
            "content": blocks,
            "stop_reason": message.get("stop_reason", "end_turn"),
            "stop_sequence": None,
            "usage": message.get("usage", usage),
        }
