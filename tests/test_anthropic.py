"""Anthropic's messages: what is sent, what is read out of a reply, what its errors mean."""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Reply
from messages_server import MessagesServer
from sums_project import (
    QUICK,
    ROLES,
    files,
    number_in,
    picture,
    rows_of,
    said_to,
    solve,
    sums_project,
    toml,
)

from vlaa_thinking import Completion, Project, build
from vlaa_thinking.errors import ModelError

Hook = Callable[[dict[str, Any]], Reply]


def blocks_of(body: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [part for turn in body["messages"] for part in turn["content"] if part["type"] == kind]


def play(body: dict[str, Any]) -> Reply:
    """Play all four models as `solve` does, in this API's form."""
    if body["model"] == "eye":
        (image,) = blocks_of(body, "image")
        return f"A box, and a mark that reads {hashlib.sha256(image['source']['data'].encode()).hexdigest()[:12]}."
    said = solve(body)
    text = said if isinstance(said, str) else ""
    if body["model"] != "mind":
        return text
    if not text:
        return {
            "content": [{"type": "thinking", "thinking": "And", "signature": "x"}],
            "stop_reason": "max_tokens",
        }
    thought, _, answer = text.removeprefix("<think>").partition("</think>")
    return {
        "content": [
            {"type": "thinking", "thinking": thought, "signature": "x"},
            {"type": "text", "text": answer},
        ]
    }


def error(status: int, kind: str, words: str, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, named, {"type": "error", "error": {"type": kind, "message": words}, "request_id": "req_1"}


def on_call(number: int, model: str, answer: Reply, *, until: int | None = None) -> Hook:
    """Answer a model's call `number` (or all up to `until`) in another way, and all else as `play` does."""
    count: Counter[str] = Counter()

    def reply(body: dict[str, Any]) -> Reply:
        count[body["model"]] += 1
        here = body["model"] == model and number <= count[model] <= (until or number)
        return answer if here else play(body)

    return reply


def calls_to(server: ChatServer, model: str) -> list[dict[str, Any]]:
    return [body for body in server.requests if body["model"] == model]


def claude_project(folder: Path, server: ChatServer, *, count: int = 1, **treatment: Any) -> Project:
    return sums_project(folder, server.url, count=count, api="anthropic", **treatment)


@pytest.fixture
def server() -> Iterator[MessagesServer]:
    with MessagesServer(play) as messages:
        yield messages


# --- what is sent --------------------------------------------------------------------------------------------


def test_a_request_has_the_api_s_form(tmp_path: Path, server: MessagesServer) -> None:
    project = claude_project(tmp_path / "p", server)
    original = picture(5, form="JPEG")
    (project.root / "images/0.png").write_bytes(original)  # the suffix tells nothing
    assert build(project, out=tmp_path / "out").kept == 1
    caption = project.settings().prompts["caption"]
    (asked,) = calls_to(server, "eye")
    assert {key: value for key, value in asked.items() if key != "messages"} == {
        "model": "eye",
        "system": caption.system,
        **caption.head.params,
    }
    (turn,) = asked["messages"]
    image, text = turn["content"]
    assert turn["role"] == "user"
    assert (image["type"], image["source"]["type"]) == ("image", "base64")
    assert image["source"]["media_type"] == "image/jpeg"
    assert base64.b64decode(image["source"]["data"], validate=True) == original
    assert text == {"type": "text", "text": caption.user.replace("{{notes}}", "(none)")}
    (asked,) = calls_to(server, "mind")
    assert [part["type"] for part in asked["messages"][0]["content"]] == ["text"]
    assert server.headers[0]["anthropic-version"]


def test_thinking_is_asked_for_as_declared(tmp_path: Path, server: MessagesServer) -> None:
    thinking = {"type": "enabled", "budget_tokens": 2000}
    params = {"thinking": thinking, "max_tokens": 5000}
    project = claude_project(tmp_path / "p", server, omit=["temperature"], params=params)
    assert build(project, out=tmp_path / "out").kept == 1
    for asked in server.requests:
        assert (asked["thinking"], asked["max_tokens"]) == (thinking, 5000)
        assert "temperature" not in asked
    (row,) = rows_of(tmp_path / "out")["sft/train"]
    assert (row["reasoning"], row["answer"]) == ("0 and 7 make 7.", "7")


def test_a_missing_max_tokens_is_told_before_any_call(tmp_path: Path, server: MessagesServer) -> None:
    project = claude_project(tmp_path / "p", server, omit=["max_tokens"])
    with pytest.raises(ModelError, match=r'"eye" needs max_tokens: .*\[model\.eye\.params\]'):
        build(project, out=tmp_path / "out")
    assert server.calls == 0


def test_a_corrective_turn_follows_the_reply_that_it_corrects(tmp_path: Path, server: MessagesServer) -> None:
    server.reply = on_call(1, "ear", "Right, I think.")
    project = claude_project(tmp_path / "p", server, count=7)
    build(project, out=tmp_path / "out")
    first, second = calls_to(server, "ear")
    assert [turn["role"] for turn in second["messages"]] == ["user", "assistant", "user"]
    assert second["messages"][:1] == first["messages"]
    assert second["messages"][1]["content"] == [{"type": "text", "text": "Right, I think."}]
    assert second["system"] == first["system"]


@pytest.mark.parametrize("variable", ["MY_SERVERS_KEY", None])
def test_the_declared_key_alone_is_sent(
    tmp_path: Path, server: MessagesServer, monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    monkeypatch.setenv("MY_SERVERS_KEY", "sk-very-secret-0123")
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):  # meant for Anthropic's own server
        monkeypatch.setenv(name, "foreign")
    declared: dict[str, Any] = {"api_key_env": variable} if variable else {}
    project = claude_project(tmp_path / "p", server, **declared)
    assert build(project, out=tmp_path / "out").kept == 1
    sent = {headers.get("x-api-key") or headers["authorization"] for headers in server.headers}
    assert {key.removeprefix("Bearer ") for key in sent} == (
        {"sk-very-secret-0123"} if variable else {"none"}
    )
    assert "foreign" not in json.dumps(server.headers)
    assert "very-secret" not in json.dumps(server.requests)


def test_a_missing_key_is_named_before_any_call(tmp_path: Path, server: MessagesServer) -> None:
    project = claude_project(tmp_path / "p", server, api_key_env="MY_SERVERS_KEY")
    with pytest.raises(ModelError, match="set the environment variable MY_SERVERS_KEY"):
        build(project, out=tmp_path / "out")
    assert server.calls == 0


# --- what is read --------------------------------------------------------------------------------------------


def message(*content: dict[str, Any], stop: str | None = "end_turn", **usage: Any) -> Completion:
    said = {"type": "message", "content": content, "stop_reason": stop, "usage": usage}
    return Completion(api="anthropic", body=json.dumps(said).encode())


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def thinking(words: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": words, "signature": "c2ln"}


REDACTED = {"type": "redacted_thinking", "data": "EmwKAhgB"}


@pytest.mark.parametrize(
    ("content", "reasoning", "said"),
    [
        ([text(" Four. ")], "", "Four."),
        ([thinking("2 and 2"), text("Four.")], "2 and 2", "Four."),
        ([thinking("2 and"), thinking("2."), text("Four.")], "2 and\n2.", "Four."),
        ([REDACTED, text("Four.")], "", "Four."),
        ([thinking("2"), REDACTED, thinking("and 2"), text("Four.")], "2\nand 2", "Four."),
        ([text("It is "), text("four.")], "", "It is four."),
        ([text("I <think> so.")], "", "I <think> so."),
        ([{"type": "never_heard_of"}, text("Four.")], "", "Four."),
    ],
)
def test_thinking_is_kept_apart_from_the_text(
    content: list[dict[str, Any]], reasoning: str, said: str
) -> None:
    completion = message(*content)
    assert (completion.reasoning, completion.text, completion.state) == (reasoning, said, "ok")


@pytest.mark.parametrize(
    ("stop", "content", "state"),
    [
        ("end_turn", [text("Four.")], "ok"),
        ("stop_sequence", [text("Four.")], "ok"),
        ("never_heard_of", [text("Four.")], "ok"),
        (None, [text("Four.")], "ok"),
        ("max_tokens", [text("Fo")], "truncated"),
        ("max_tokens", [thinking("2 and")], "truncated"),
        ("max_tokens", [], "truncated"),
        ("model_context_window_exceeded", [text("Fo")], "truncated"),
        ("refusal", [], "refused"),
        ("refusal", [text("I cannot.")], "refused"),
        ("end_turn", [], "empty"),
        ("end_turn", [text(" \n")], "empty"),
        ("end_turn", [thinking("2 and 2")], "empty"),
    ],
)
def test_how_a_reply_ended_is_a_state(stop: str | None, content: list[dict[str, Any]], state: str) -> None:
    completion = message(*content, stop=stop)
    assert (completion.state, completion.reply.detail) == (state, stop or "end_turn")


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        ({"input_tokens": 7, "output_tokens": 3}, (7, 3)),
        ({"input_tokens": 7, "cache_read_input_tokens": 20, "output_tokens": 3}, (27, 3)),
        (
            {
                "input_tokens": 7,
                "cache_creation_input_tokens": 100,
                "cache_read_input_tokens": 0,
                "output_tokens": 3,
            },
            (107, 3),
        ),
        ({"input_tokens": 7, "output_tokens": "many"}, (7, None)),
        ({}, (None, None)),
    ],
)
def test_usage_counts_what_came_from_the_provider_s_cache(
    usage: dict[str, Any], read: tuple[int | None, int | None]
) -> None:
    counted = message(text("Four."), **usage).usage
    assert (counted.input_tokens, counted.output_tokens) == read


# --- errors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "kind"), [(401, "authentication_error"), (404, "not_found_error")])
def test_a_model_that_cannot_be_used_stops_the_build_at_once(
    tmp_path: Path, server: MessagesServer, monkeypatch: pytest.MonkeyPatch, status: int, kind: str
) -> None:
    monkeypatch.setenv("MY_SERVERS_KEY", "sk-very-secret-0123")
    server.reply = on_call(1, "eye", error(status, kind, "not you, sk-very-secret-0123"), until=99)
    project = claude_project(tmp_path / "p", server, api_key_env="MY_SERVERS_KEY")
    with pytest.raises(ModelError, match=rf'"eye" answered {status}: not you') as caught:
        build(project, out=tmp_path / "out")
    assert server.calls == 1
    assert ("MY_SERVERS_KEY" in str(caught.value)) is (status != 404)
    assert "very-secret" not in str(caught.value)  # whatever a server repeats


@pytest.mark.parametrize("status", [400, 413])
def test_a_request_that_is_refused_is_a_fact_about_its_row(
    tmp_path: Path, server: MessagesServer, status: int
) -> None:
    server.reply = on_call(2, "mind", error(status, "invalid_request_error", "prompt is too long: sk-123"))
    project = claude_project(tmp_path / "p", server, count=3, max_concurrency=1)
    result = build(project, out=tmp_path / "out")
    assert (result.exit_code, result.funnel.steps[2].dropped) == (0, {"refused": 1})
    (row,) = rows_of(tmp_path / "out")["rejected/train"]
    assert row["evidence"] == "prompt is too long: sk-123"
    calls = server.calls
    assert build(project, out=tmp_path / "out").funnel == result.funnel
    assert server.calls == calls  # a refusal is paid once


def test_a_model_that_refuses_its_first_call_is_set_up_wrong(tmp_path: Path, server: MessagesServer) -> None:
    words = "temperature may only be set to 1 when thinking is enabled"
    server.reply = on_call(1, "eye", error(400, "invalid_request_error", words), until=99)
    with pytest.raises(
        ModelError, match=rf'"eye" refused its first call in the step caption \(400\): {words}'
    ):
        build(claude_project(tmp_path / "p", server), out=tmp_path / "out")
    assert server.calls == 1


def test_an_empty_account_stops_the_build(tmp_path: Path, server: MessagesServer) -> None:
    words = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."
    broke = error(400, "invalid_request_error", words)
    server.reply = on_call(2, "mind", broke, until=99)
    project = claude_project(tmp_path / "p", server, count=6, max_concurrency=1)
    with pytest.raises(ModelError, match=r'account of the model "mind" is used up: Your credit balance'):
        build(project, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    server.reply = play  # paid: nothing of it was recorded
    assert build(project, out=tmp_path / "out").funnel.failed == 0


PASSING: list[Reply] = [
    error(429, "rate_limit_error", "slow down", Retry_After="0.05"),
    error(529, "overloaded_error", "Overloaded"),
    error(500, "api_error", "Internal server error"),
    error(503, "api_error", "not now"),
    (502, {"Content-Type": "text/html"}, "<html>Bad gateway</html>"),
    (200, {}, "<html>Welcome to the proxy</html>"),
    (200, {}, '{"type": "message", "content": [{"type": "te'),
    (200, {}, ""),
    (200, {}, "null"),
    (200, {}, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    (200, {}, {"content": "Four."}),
    (200, {}, {"content": [{"type": "text"}]}),
    (200, {}, {"content": [{"type": "text", "text": None}]}),
]


def test_what_may_pass_is_tried_again(tmp_path: Path, server: MessagesServer) -> None:
    asked: Counter[int] = Counter()

    def reply(body: dict[str, Any]) -> Reply:
        if body["model"] != "mind" or body["max_tokens"] > 8192:
            return play(body)
        number = number_in(body)
        asked[number] += 1
        return PASSING[number] if asked[number] == 1 else play(body)

    server.reply = reply
    project = claude_project(tmp_path / "p", server, count=len(PASSING))
    assert build(project, out=tmp_path / "out").exit_code == 0
    assert asked == dict.fromkeys(range(len(PASSING)), 2)


# --- beside others -------------------------------------------------------------------------------------------


def test_a_captioner_of_this_api_plays_with_others(tmp_path: Path, server: MessagesServer) -> None:
    with ChatServer(solve) as chat:
        project = sums_project(tmp_path / "p", chat.url, count=12)
        parts = [f'default = "mine"\n[profile.mine]\n{toml({**ROLES, "sources": ["sums"]})}']
        for name in ROLES.values():
            there = {"api": "anthropic", "base_url": server.url} if name == "eye" else {"base_url": chat.url}
            parts.append(f"[model.{name}]\n{toml({'api': 'openai', 'model': name, **QUICK, **there})}")
        (project.root / "generators/models.toml").write_text("\n\n".join(parts) + "\n")
        result = build(project, out=tmp_path / "out")
        assert (result.exit_code, result.funnel.rows, result.funnel.failed) == (0, 12, 0)
        assert {body["model"] for body in server.requests} == {"eye"}
        assert {body["model"] for body in chat.requests} == {"mind", "pen", "ear"}
        assert server.calls == 4
        first, calls = files(tmp_path / "out"), server.calls + chat.calls
        assert build(project, out=tmp_path / "again").calls > 0  # another work folder, other answers
        assert files(tmp_path / "again") == first
        spared = build(project, out=tmp_path / "out")
        assert (spared.calls, spared.changed) == (0, False)
        assert server.calls + chat.calls == 2 * calls
    captions = {row["caption"] for rows in rows_of(tmp_path / "out").values() for row in rows}
    assert all(any(caption in said_to(body) for body in chat.requests) for caption in captions if caption)
    assert {number_in(body) for body in calls_to(chat, "mind")} == set(range(12))
