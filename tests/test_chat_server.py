"""The loopback server, asked by the real client; and what keeps tests from any other server."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, cast

import openai
import pytest
from chat_server import ChatServer, Reply
from openai.types.chat import ChatCompletion


def ask(server: ChatServer, text: str, *, times: int = 1) -> list[ChatCompletion]:
    async def all_at_once(client: openai.AsyncOpenAI) -> list[ChatCompletion]:
        create = cast(Callable[..., Awaitable[ChatCompletion]], client.chat.completions.create)
        messages = [{"role": "user", "content": text}]
        return await asyncio.gather(*(create(model="tiny", messages=messages) for _ in range(times)))

    async def main() -> list[ChatCompletion]:
        async with openai.AsyncOpenAI(
            api_key="unused",
            base_url=server.url,
            max_retries=0,
            http_client=openai.DefaultAioHttpClient(),
        ) as client:
            return await all_at_once(client)

    return asyncio.run(main())


def test_a_text_comes_back_as_a_completion_with_usage() -> None:
    with ChatServer() as server:
        (completion,) = ask(server, "Hi")
    assert completion.model == "tiny"
    assert completion.choices[0].message.content == "Hello."
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 2
    assert server.calls == 1
    assert server.requests[0]["messages"] == [{"role": "user", "content": "Hi"}]
    assert server.headers[0]["authorization"] == "Bearer unused"


def test_a_message_may_carry_reasoning_and_a_finish_reason() -> None:
    def reply(_request: dict[str, Any]) -> Reply:
        return {"content": "5", "reasoning_content": "2 and 3", "finish_reason": "length"}

    with ChatServer(reply) as server:
        (completion,) = ask(server, "2 + 3?")
    (choice,) = completion.choices
    assert choice.finish_reason == "length"
    assert choice.message.model_extra == {"reasoning_content": "2 and 3"}


def test_a_whole_response_is_sent_as_it_stands() -> None:
    def too_many(_request: dict[str, Any]) -> Reply:
        return 429, {"Retry-After": "7"}, {"error": {"message": "slow down"}}

    with ChatServer(too_many) as server, pytest.raises(openai.RateLimitError, match="slow down") as caught:
        ask(server, "Hi")
    assert caught.value.response.headers["retry-after"] == "7"


def test_calls_are_served_side_by_side() -> None:
    with ChatServer(latency=0.3) as server:
        completions = ask(server, "Hi", times=12)
    assert len({completion.id for completion in completions}) == 12
    assert server.calls == 12
    assert server.max_in_flight == 12


def test_a_hook_that_raises_fails_the_test() -> None:
    def broken(_request: dict[str, Any]) -> Reply:
        raise LookupError("no such question")

    with (
        pytest.raises(LookupError, match="no such question"),
        ChatServer(broken) as server,
        pytest.raises(openai.InternalServerError, match="no such question"),
    ):
        ask(server, "Hi")


@pytest.mark.parametrize("host", ["192.0.2.1", "example.com"])
def test_nothing_but_loopback_is_reached(host: str) -> None:
    with pytest.raises(pytest.fail.Exception, match="loopback only"):
        socket.create_connection((host, 80), timeout=1)
