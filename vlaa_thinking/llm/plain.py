"""The plain form of a reply: what the demo's teacher, `Fake` and a user's own callable return."""

from __future__ import annotations

import json

from vlaa_thinking.llm import Reply, Usage


def read(body: bytes, status: int) -> Reply:
    """Read a body that `Completion.of` wrote."""
    del status  # no HTTP here
    said = json.loads(body)
    usage = said.get("usage", {})
    state = said["state"]
    if state == "ok" and not said["text"].strip():
        state = "empty"
    return Reply(
        text=said["text"],
        reasoning=said["reasoning"],
        state=state,
        usage=Usage(input_tokens=usage.get("input_tokens"), output_tokens=usage.get("output_tokens")),
        detail=said["detail"],
    )
