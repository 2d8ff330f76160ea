"""Anthropic's Message Batches: the requests are the body of one call, and nothing else can be said with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vlaa_thinking.batches import Answer, Gone, Seen
from vlaa_thinking.batches.talk import Talk, lines_of, packed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from vlaa_thinking.settings import Model

STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The HTTP status that a live call has with an error of this type; any other: 500."""


class AnthropicBatches:
    """Batches of one model behind Anthropic's API, or a server that speaks it."""

    tags = False

    def __init__(self, name: str, model: Model, key: str) -> None:
        """Speak for the model `name`, with this key."""
        self._talk = Talk("anthropic", name, model, key)

    def line(self, custom_id: str, data: bytes) -> bytes:
        """Put a request's body into the form that it has in a batch."""
        return f'{{"custom_id":"{custom_id}","params":'.encode() + data + b"}"

    async def create(self, tag: str, lines: Sequence[bytes]) -> Seen:
        """Make a batch; the provider is not told its tag, for it keeps none."""
        del tag
        from anthropic.types.messages import MessageBatch  # noqa: PLC0415 - heavy

        with self._talk.told():
            made = await self._talk.client.post(
                "/v1/messages/batches",
                cast_to=MessageBatch,
                content=b'{"requests":[' + b",".join(lines) + b"]}",
                options={"headers": {"Content-Type": "application/json"}},
            )
        return _seen(made)

    async def look(self, batch: str) -> Seen:
        """Ask how far a batch is."""
        with self._talk.told():
            return _seen(await self._talk.client.messages.batches.retrieve(batch))

    async def recent(self, since: float) -> AsyncGenerator[Seen, None]:
        """List the batches made since then; the latest come first."""
        with self._talk.told():
            async for batch in self._talk.client.messages.batches.list(limit=100):
                if batch.created_at.timestamp() < since:
                    return
                yield _seen(batch)

    async def answers(self, batch: Seen) -> AsyncGenerator[Answer, None]:
        """Read the results."""
        if not batch.results:
            raise Gone("the provider keeps results for 29 days")
        with self._talk.told():
            results = self._talk.client.messages.batches.with_streaming_response.results(batch.id)
            async with results as response:
                async for line in lines_of(response.iter_bytes()):
                    yield _answer(line)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._talk.aclose()


def _seen(batch: Any) -> Seen:  # noqa: ANN401 - the SDK's value
    counts = batch.request_counts
    failed = counts.errored + counts.canceled + counts.expired
    return Seen(
        id=batch.id,
        created=batch.created_at.timestamp(),
        state=batch.processing_status,
        ended=batch.processing_status == "ended",
        requests=counts.processing + counts.succeeded + failed,
        done=counts.succeeded,
        failed=failed,
        results=(batch.results_url,) if batch.results_url and not batch.archived_at else (),
    )


def _answer(line: Any) -> Answer:  # noqa: ANN401 - any JSON
    result = line["result"]
    match result["type"]:
        case "succeeded":
            status, body = 200, result["message"]
        case "errored":
            error = result["error"]
            status, body = STATUS.get((error.get("error") or error).get("type"), 500), error
        case other:  # canceled, expired
            status, body = 0, {"error": {"message": f"the request has {other}"}}
    return Answer(custom_id=line["custom_id"], status=status, body=packed(body))
