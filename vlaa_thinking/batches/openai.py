"""OpenAI's Batch API: a file of requests is uploaded, and a batch is made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vlaa_thinking.batches import Answer, Seen
from vlaa_thinking.batches.talk import Talk, lines_of, packed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from vlaa_thinking.settings import Model

ENDED = frozenset({"failed", "completed", "expired", "cancelled"})

TAG = "vlaa_thinking_batch"
"""The key of the metadata that holds our own id."""

WORKED_ON = {"request_timeout": 504}
"""What an error's code outside of a response comes to; any other: nobody worked on the request."""


class OpenAIBatches:
    """Batches of one model behind OpenAI's API, or a server that speaks it."""

    tags = True

    def __init__(self, name: str, model: Model, key: str) -> None:
        """Speak for the model `name`, with this key."""
        self._talk = Talk("openai", name, model, key)

    def line(self, custom_id: str, data: bytes) -> bytes:
        """Put a request's body into the form that it has in a batch."""
        head = f'{{"custom_id":"{custom_id}","method":"POST","url":"/v1/chat/completions","body":'
        return head.encode() + data + b"}"

    async def create(self, tag: str, lines: Sequence[bytes]) -> Seen:
        """Upload the file, and make a batch of it."""
        with self._talk.told():
            client = self._talk.client
            file = await client.files.create(file=(f"{tag}.jsonl", b"\n".join(lines)), purpose="batch")
            made = await client.batches.create(
                input_file_id=file.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={TAG: tag},
            )
        return _seen(made)

    async def look(self, batch: str) -> Seen:
        """Ask how far a batch is."""
        with self._talk.told():
            return _seen(await self._talk.client.batches.retrieve(batch))

    async def recent(self, since: float) -> AsyncGenerator[Seen, None]:
        """List the batches made since then; the latest come first."""
        with self._talk.told():
            async for batch in self._talk.client.batches.list(limit=100):
                if batch.created_at < since:
                    return
                yield _seen(batch)

    async def answers(self, batch: Seen) -> AsyncGenerator[Answer, None]:
        """Read the file of replies and that of errors."""
        for file in batch.results:
            with self._talk.told():
                content = self._talk.client.files.with_streaming_response.content(file)
                async with content as response:
                    async for line in lines_of(response.iter_bytes()):
                        yield _answer(line)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._talk.aclose()


def _seen(batch: Any) -> Seen:  # noqa: ANN401 - the SDK's value
    counts, errors = batch.request_counts, batch.errors
    faults = [f"{e.code or ''} {e.message or ''}".strip() for e in (errors.data or () if errors else ())]
    files = (batch.output_file_id, batch.error_file_id)
    return Seen(
        id=batch.id,
        created=float(batch.created_at),
        state=batch.status,
        ended=batch.status in ENDED,
        tag=(batch.metadata or {}).get(TAG),
        requests=counts.total if counts else None,
        done=counts.completed if counts else 0,
        failed=counts.failed if counts else 0,
        fault=("; ".join(faults[:3]) or "no words") if batch.status == "failed" else "",
        results=tuple(file for file in files if file),
    )


def _answer(line: Any) -> Answer:  # noqa: ANN401 - any JSON
    response, error = line.get("response"), line.get("error")
    if response:
        status, body = response.get("status_code") or 0, packed(response.get("body"))
    else:
        code = (error or {}).get("code") or "no response"
        status, body = WORKED_ON.get(code, 0), packed({"error": error or {"message": code}})
    return Answer(custom_id=line["custom_id"], status=status, body=body)
