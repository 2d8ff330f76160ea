"""The plain form of a reply: what the demo's teacher, `Fake` and a user's own callable return."""

from __future__ import annotations

import json

from vlaa_thinking.llm import Reply, Usage
from vlaa_thinking.llm.thinking import split_thinking


def read(body: bytes, status: int) -> Reply:
    """Read a body that `Completion.of` wrote."""
    del status  # no HTTP here
    said = json.loads(body)
    usage = said.get("usage", {})
    text, reasoning, state = said["text"], said["reasoning"], said["state"]
    if not reasoning:
        reasoning, text = split_thinking(text)
    if state == "ok" and not text.strip():
        state = "empty"
    return Reply(
        text=text.strip(),
        reasoning=reasoning.strip(),
        state=state,
        usage=Usage(input_tokens=usage.get("input_tokens"), output_tokens=usage.get("output_tokens")),
        detail=said["detail"],
    )
