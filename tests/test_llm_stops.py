"""What stops a build at once: a server that has moved, an account that pays for nothing more."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Reply
from messages_server import MessagesServer
from sums_project import solve, sums_project
from test_anthropic import play

from vlaa_thinking import build
from vlaa_thinking.errors import ModelError

KEY = "sk-very-secret-0123"

KINDS: dict[str, tuple[type[ChatServer], Callable[[dict[str, Any]], Reply]]] = {
    "openai": (ChatServer, solve),
    "anthropic": (MessagesServer, play),
}


@pytest.mark.parametrize("api", KINDS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_call_is_never_sent_on_to_another_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: str, status: int
) -> None:
    """Neither the key nor what is asked reaches a host that the project does not name."""
    monkeypatch.setenv("MY_SERVERS_KEY", KEY)
    kind, answer = KINDS[api]
    with kind(answer) as there:
        moved = there.url.removesuffix("/v1") + kind.path
        with kind(lambda _: (status, {"Location": moved}, "")) as here:
            project = sums_project(tmp_path / "p", here.url, count=3, api=api, api_key_env="MY_SERVERS_KEY")
            words = (
                f'"eye" answered {status} and points to {there.url}; no call is sent on to another address: '
            )
            with pytest.raises(ModelError, match=re.escape(words) + r".*base_url in \[model.eye\]") as told:
                build(project, out=tmp_path / "out")
            assert (here.calls, there.calls) == (1, 0)
    assert KEY not in str(told.value)


@pytest.mark.parametrize(
    ("location", "there"),
    [
        ("https://me:hunter2@elsewhere.test/v1/chat/completions?token=x", "https://elsewhere.test/v1"),
        ("/v2/chat/completions", "HERE/v2"),
        ("//elsewhere.test/login", "http://elsewhere.test/login"),
        (None, "HERE/v1"),
    ],
)
def test_where_a_redirect_points_is_told_without_secrets(
    tmp_path: Path, location: str | None, there: str
) -> None:
    headers = {"Location": location} if location else {}
    with ChatServer(lambda _: (302, headers, "<html>Log in first</html>")) as server:
        project = sums_project(tmp_path / "p", server.url, count=1)
        there = there.replace("HERE", server.url.removesuffix("/v1"))
        with pytest.raises(ModelError, match=re.escape(f'"eye" answered 302 and points to {there};')):
            build(project, out=tmp_path / "out")
        assert server.calls == 1


def openai(message: str, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": code, "param": None, "code": code}}


def anthropic(message: str, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("api", "status", "body"),
    [
        ("openai", 429, openai("You exceeded your current quota.", "insufficient_quota")),
        ("openai", 400, openai("Billing hard limit has been reached", "billing_hard_limit_reached")),
        ("openai", 429, openai("Your account is not active.", "billing_not_active")),
        ("openai", 402, openai("Insufficient Balance", "invalid_request_error")),  # DeepSeek's
        ("anthropic", 400, anthropic("Your credit balance is too low to access the Anthropic API.")),
        (
            "anthropic",
            400,
            anthropic(
                "You have reached your specified API usage limits. You will regain access on 2027-01-01."
            ),
        ),
        ("anthropic", 400, anthropic("This organization has been disabled.")),
        ("anthropic", 402, anthropic("Billing is not set up.", "billing_error")),
    ],
)
def test_an_account_that_pays_for_nothing_more_is_no_fact_about_rows(
    tmp_path: Path, api: str, status: int, body: dict[str, Any]
) -> None:
    """It comes in the middle of a build, with a status that else speaks of one request."""
    kind, answer = KINDS[api]
    with kind(answer) as server:

        def reply(asked: dict[str, Any]) -> Reply:
            minds = sum(one["model"] == "mind" for one in server.requests)
            return (status, {}, body) if asked["model"] == "mind" and minds > 2 else answer(asked)

        server.reply = reply
        project = sums_project(tmp_path / "p", server.url, count=6, api=api, max_concurrency=1)
        words = body["error"]["message"].partition(".")[0]
        with pytest.raises(ModelError, match=f'model "mind" .*{words}'):
            build(project, out=tmp_path / "out")
        assert sum(one["model"] == "mind" for one in server.requests) == 3
        assert not (tmp_path / "out").exists()
        server.reply = answer  # paid: nothing of it was recorded
        result = build(project, out=tmp_path / "out")
        assert (result.funnel.failed, result.funnel.steps[2].dropped.get("refused")) == (0, None)
