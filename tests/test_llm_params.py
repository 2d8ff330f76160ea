"""What a model takes is data: each wrong parameter is turned down as its real server does, and TOML puts it right."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Reply
from messages_server import MessagesServer
from sums_project import ROLES, solve, sum_row, sums_project, write_rows
from test_anthropic import play

from vlaa_thinking import Project, build, toml
from vlaa_thinking.errors import ModelError, SetupError
from vlaa_thinking.settings import Model

Body = dict[str, Any]


def openai(words: str, param: str | None = None, code: str | None = None) -> Body:
    return {"error": {"message": words, "type": "invalid_request_error", "param": param, "code": code}}


def vllm(words: str, param: str | None = None) -> Body:
    return {"error": {"message": words, "type": "BadRequestError", "param": param, "code": 400}}


def anthropic(words: str) -> Body:
    error = {"type": "invalid_request_error", "message": words}
    return {"type": "error", "error": error, "request_id": "req_011"}


def has(*path: str) -> Callable[[Body], bool]:
    """Say whether a request has a field."""

    def found(body: Any) -> bool:
        for name in path:
            if not isinstance(body, dict) or name not in body:
                return False
            body = body[name]
        return True

    return found


@dataclass(frozen=True, kw_only=True)
class Case:
    """One parameter that a server turns down with a 400, and what makes it right."""

    error: Body
    refuses: Callable[[Body], bool]
    wrong: dict[str, Any] = field(default_factory=dict[str, Any])
    right: dict[str, Any]
    sent: dict[str, Any] = field(default_factory=dict[str, Any])
    """What every request then holds, among other things."""
    steps: tuple[str, ...] = ("caption",)
    """Where it may be turned down."""


CASES: dict[str, Case] = {
    "OpenAI, a reasoning model: max_tokens": Case(
        error=openai(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            "max_tokens",
            "unsupported_parameter",
        ),
        refuses=has("max_tokens"),
        right={"max_tokens_field": "max_completion_tokens"},
    ),
    "OpenAI, a reasoning model: temperature": Case(
        error=openai(
            "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is "
            "supported.",
            "temperature",
            "unsupported_value",
        ),
        refuses=lambda body: body.get("temperature", 1) != 1,
        right={"omit": ["temperature"]},
    ),
    "OpenAI, a reasoning model: an effort that it does not know": Case(
        error=openai(
            "Unsupported value: 'reasoning_effort' does not support 'none' with this model. Supported values are: "
            "'minimal', 'low', 'medium', and 'high'.",
            "reasoning_effort",
            "unsupported_value",
        ),
        refuses=lambda body: body.get("reasoning_effort") not in {None, "minimal", "low", "medium", "high"},
        wrong={"params": {"reasoning_effort": "none"}},
        right={"params": {"reasoning_effort": "low"}},
        sent={"reasoning_effort": "low"},
    ),
    "OpenAI, a model that does not reason: any effort": Case(
        error=openai("Unrecognized request argument supplied: reasoning_effort"),
        refuses=has("reasoning_effort"),
        wrong={"params": {"reasoning_effort": "low"}},
        right={},
    ),
    "OpenAI, an old model: a schema": Case(
        error=openai(
            "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model. Learn more "
            "about supported models at the Structured Outputs guide."
        ),
        refuses=has("response_format", "json_schema"),
        right={"structured": False},
        steps=("verify",),
    ),
    "DeepSeek: a schema": Case(
        error=openai("This response_format type is unavailable now", code="invalid_request_error"),
        refuses=has("response_format", "json_schema"),
        right={"structured": False},
        steps=("verify",),
    ),
    "DeepSeek: a reply longer than it writes": Case(
        error=openai(
            "Invalid max_tokens value, the valid range of max_tokens is [1, 1000]",
            code="invalid_request_error",
        ),
        refuses=lambda body: not 1 <= body.get("max_tokens", 1) <= 1000,
        right={"params": {"max_tokens": 1000}},
        sent={"max_tokens": 1000},
    ),
    "vLLM: a reply longer than its context": Case(
        error=vllm(
            "'max_tokens' or 'max_completion_tokens' is too large: 1024. This model's maximum context length is 1000 "
            "tokens and your request has 300 input tokens (1024 > 1000 - 300).",
            "max_tokens",
        ),
        refuses=lambda body: body.get("max_tokens", 1) > 700,
        right={"params": {"max_tokens": 512}},
        sent={"max_tokens": 512},
    ),
    "Anthropic: temperature beside a thinking budget": Case(
        error=anthropic(
            "`temperature` may only be set to 1 when thinking is enabled. Please consult our documentation"
        ),
        refuses=lambda body: has("thinking")(body) and body.get("temperature", 1) != 1,
        wrong={"params": {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 4000}},
        right={
            "params": {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 4000},
            "omit": ["temperature"],
        },
        sent={"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 4000},
    ),
    "Anthropic: a thinking budget as large as the reply": Case(
        error=anthropic(
            "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation"
        ),
        refuses=lambda body: body.get("thinking", {}).get("budget_tokens", 0) >= body["max_tokens"],
        wrong={"params": {"thinking": {"type": "enabled", "budget_tokens": 2000}}, "omit": ["temperature"]},
        right={
            "params": {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 4000},
            "omit": ["temperature"],
        },
        sent={"max_tokens": 4000},
    ),
    "Anthropic, from Opus 4.7 on: a thinking budget": Case(
        error=anthropic(
            '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
            '"output_config.effort" to control thinking behavior.'
        ),
        refuses=lambda body: body.get("thinking", {}).get("type") == "enabled",
        wrong={
            "params": {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 4000},
            "omit": ["temperature"],
        },
        right={
            "params": {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
            "omit": ["temperature"],
        },
        sent={"thinking": {"type": "adaptive"}},
    ),
    "Anthropic, from Opus 4.7 on: temperature": Case(
        error=anthropic("`temperature` is deprecated for this model."),
        refuses=has("temperature"),
        right={"omit": ["temperature"]},
    ),
    "Anthropic, a small model: effort": Case(
        error=anthropic("This model does not support the effort parameter."),
        refuses=has("output_config", "effort"),
        wrong={"params": {"output_config": {"effort": "low"}}},
        right={},
    ),
    "Anthropic, an old model: a schema": Case(
        error=anthropic("output_config.format: Extra inputs are not permitted"),
        refuses=has("output_config", "format"),
        right={"structured": False},
        steps=("verify",),
    ),
}


@contextmanager
def serving(name: str, case: Case) -> Iterator[tuple[ChatServer, dict[str, Any]]]:
    """Serve the case; gives the server and what a model says to reach it."""
    claude = name.startswith("Anthropic")
    answer: Callable[[Body], Reply] = play if claude else solve

    def reply(body: Body) -> Reply:
        return (400, {}, case.error) if case.refuses(body) else answer(body)

    with MessagesServer(reply) if claude else ChatServer(reply) as server:
        yield server, {"api": "anthropic" if claude else "openai"}


@pytest.mark.parametrize("name", CASES)
def test_a_parameter_that_a_model_does_not_take_stops_the_build_and_toml_puts_it_right(
    tmp_path: Path, name: str
) -> None:
    case = CASES[name]
    with serving(name, case) as (server, treatment):
        project = sums_project(tmp_path / "p", server.url, count=12, **treatment, **case.wrong)
        with pytest.raises(ModelError, match="refused its first call in the step") as told:
            build(project, out=tmp_path / "out")
        words = " ".join(case.error["error"]["message"].split())
        assert any(f"in the step {step} (400): {words}" in str(told.value) for step in case.steps)
        assert "params, omit, max_tokens_field and structured in [model." in str(told.value)
        refused = [body for body in server.requests if case.refuses(body)]
        assert len(refused) == 1
        assert not (tmp_path / "out").exists()
        calls = server.calls

        mended = sums_project(tmp_path / "mended", server.url, count=12, **treatment, **case.right)
        result = build(mended, out=tmp_path / "out")
        assert (result.exit_code, result.funnel.rows) == (0, 12)
        assert all("refused" not in step.dropped for step in result.funnel.steps)
        first = [body for body in server.requests[calls:] if not case.refuses(body)]
        assert all(body.items() >= case.sent.items() for body in first if body.get("max_tokens", 0) <= 4000)


def test_one_model_may_take_a_parameter_in_one_step_and_not_in_another(tmp_path: Path) -> None:
    """It has answered as captioner: that says nothing about the schema that the judge sends along."""

    def reply(body: Body) -> Reply:
        return (
            (400, {}, CASES["DeepSeek: a schema"].error)
            if has("response_format")(body)
            else all_of_them(body)
        )

    def all_of_them(body: Body) -> Reply:
        said = json.dumps(body["messages"])
        role = "eye" if "image_url" in said else "ear" if "verdict" in said else "mind"
        return solve({**body, "model": role})

    with ChatServer(reply) as server:
        project = sums_project(tmp_path / "p", server.url, count=1)
        write_rows(
            project.root, [sum_row(number, image=0) for number in (0, 6)]
        )  # the judge is asked about one
        cast = "\n".join(f'{role} = "all"' for role in ROLES)
        models = project.root / "generators/models.toml"
        text = (
            f'default = "mine"\n[profile.mine]\n{cast}\nsources = ["sums"]\n'
            f'[model.all]\napi = "openai"\nmodel = "all"\nbase_url = "{server.url}"\n'
        )
        models.write_text(text)
        for _ in range(2):  # the second time, what it answered stands in the cache
            with pytest.raises(
                ModelError, match=r'"all" refused its first call in the step verify \(400\): This'
            ):
                build(project, out=tmp_path / "out")
        models.write_text(text + "structured = false\n")
        result = build(project, out=tmp_path / "out")
        assert (result.exit_code, result.kept) == (0, 2)


def test_a_parameter_that_no_longer_fits_is_no_fact_about_rows(tmp_path: Path) -> None:
    """The model answered before, and its answers are stored; then a line of TOML is spoiled."""

    def reply(body: Body) -> Reply:
        return (400, {}, openai("Unknown parameter: 'temprature'.")) if "temprature" in body else solve(body)

    with ChatServer(reply) as server:
        project = sums_project(tmp_path / "p", server.url, count=6)
        good = build(project, out=tmp_path / "out")
        spoiled = sums_project(tmp_path / "q", server.url, count=6, params={"temprature": 1})
        with pytest.raises(ModelError, match=r"in the step caption \(400\): Unknown parameter: 'temprature'"):
            build(spoiled, out=tmp_path / "out")
        assert build(project, out=tmp_path / "out").funnel == good.funnel


def test_a_temperature_that_nobody_sets_is_not_sent(tmp_path: Path) -> None:
    with ChatServer(solve) as server:
        project = sums_project(tmp_path / "p", server.url, count=1)
        for file in ("2_caption.md", "3_distill.md"):
            path = project.root / "generators" / file
            lines = path.read_text().splitlines(keepends=True)
            path.write_text("".join(line for line in lines if not line.startswith("temperature")))
        assert build(project, out=tmp_path / "out").kept == 1
        assert [set(body) for body in server.requests] == [{"model", "messages", "max_tokens"}] * 2


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"stream": True}, r'"stream" is not a project\'s to set: take it out of \[model\.eye\.params\]'),
        ({"n": 4}, r'"n" is not a project\'s to set'),
        ({"messages": []}, r'"messages" is not a project\'s to set'),
        (
            {"temperature": float("nan")},
            r"step caption hold what JSON has no word for .* \[model\.eye\.params\]",
        ),
    ],
)
def test_a_parameter_that_cannot_be_sent_is_told_before_any_call(
    tmp_path: Path, params: Body, words: str
) -> None:
    with ChatServer(solve) as server:
        project = sums_project(tmp_path / "p", server.url, count=1, params=params)
        models = project.root / "generators/models.toml"
        models.write_text(models.read_text().replace("NaN", "nan"))
        with pytest.raises(SetupError, match=words):
            build(project, out=tmp_path / "out")
        assert server.calls == 0


def test_a_date_is_no_parameter(tmp_path: Path) -> None:
    with ChatServer(solve) as server:
        project = sums_project(tmp_path / "p", server.url, count=1, params={"since": "DATE"})
        models = project.root / "generators/models.toml"
        models.write_text(models.read_text().replace('"DATE"', "2026-01-01"))
        with pytest.raises(SetupError, match="JSON has no word for"):
            build(project, out=tmp_path / "out")
        assert server.calls == 0


# --- structured output ---------------------------------------------------------------------------------------


def test_anthropic_takes_a_schema_beside_its_effort(tmp_path: Path) -> None:
    with MessagesServer(play) as server:
        params = {"output_config": {"effort": "low"}}
        project = sums_project(tmp_path / "p", server.url, count=7, api="anthropic", params=params)
        assert build(project, out=tmp_path / "out").exit_code == 0
        configs = {body["model"]: body["output_config"] for body in server.requests}
        assert configs["eye"] == configs["mind"] == {"effort": "low"}
        schema = configs["ear"]["format"].pop("schema")
        assert configs["ear"] == {"effort": "low", "format": {"type": "json_schema"}}
        assert (schema["required"], schema["additionalProperties"]) == (["reason", "verdict"], False)


@pytest.mark.parametrize("structured", [True, False])
def test_a_reply_is_checked_against_the_schema_whatever_the_server_promises(
    tmp_path: Path, *, structured: bool
) -> None:
    """One corrective turn, then the row is dropped: in the form of a reply, no word is taken on trust."""

    def reply(body: Body) -> Reply:
        if body["model"] != "ear":
            return play(body)
        return {"content": json.dumps({"reason": "It says the same.", "verdict": "perhaps"})}

    with MessagesServer(reply) as server:
        project = sums_project(tmp_path / "p", server.url, count=7, api="anthropic", structured=structured)
        result = build(project, out=tmp_path / "out")
        assert (result.exit_code, result.funnel.steps[4].dropped["no_verdict"]) == (0, 1)
        first, second = [body for body in server.requests if body["model"] == "ear"]
        assert [turn["role"] for turn in second["messages"]] == ["user", "assistant", "user"]
        assert ("output_config" in first, "output_config" in second) == (structured, structured)


# --- where a model is ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("identity", ["our-cluster", None])
def test_answers_follow_a_declared_identity_from_address_to_address(
    tmp_path: Path, identity: str | None
) -> None:
    declared: dict[str, Any] = {"identity": identity} if identity else {}
    with ChatServer(solve) as one:
        first = build(sums_project(tmp_path / "p", one.url, count=3, **declared), out=tmp_path / "out")
        assert first.calls == one.calls > 0
        with ChatServer(solve) as other:
            second = build(sums_project(tmp_path / "q", other.url, count=3, **declared), out=tmp_path / "out")
            assert second.calls == other.calls == (0 if identity else first.calls)


@contextmanager
def deaf() -> Iterator[str]:
    """Give the address of a server that takes no connection and refuses none: its queue is full."""
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(8)]
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(listening.getsockname())
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        finally:
            for one in waiting:
                one.close()


def test_a_connection_that_nobody_takes_up_is_given_up_soon(tmp_path: Path) -> None:
    with deaf() as url:
        project = sums_project(tmp_path / "p", url, count=1, connect_timeout=0.2, tries=2)
        with pytest.raises(ModelError, match=r'"eye" never answered: .*[Tt]imeout.*base_url is right'):
            build(project, out=tmp_path / "out")


# --- the manual ----------------------------------------------------------------------------------------------


def test_the_cures_in_the_manual_are_read_as_they_stand(tmp_path: Path) -> None:
    manual = (Project.default().root / "generators/README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```toml\n(\[model\..*?)```", manual, re.DOTALL)
    models = tmp_path / "models.toml"
    models.write_text(re.sub(r"^(\[model\..*)$", r'\1\napi = "openai"', block, flags=re.MULTILINE))
    table = toml.read(models, "models.toml").sub("model")
    found = {name: table.sub(name).into(Model) for name in table.values}
    assert found["gpt-5-mini"].max_tokens_field == "max_completion_tokens"
    assert (
        found["claude-sonnet-4-5"].params["thinking"]["budget_tokens"]
        < found["claude-sonnet-4-5"].params["max_tokens"]
    )
    assert not found["deepseek-chat"].structured
    assert all(model.omit == ("temperature",) for name, model in found.items() if "deepseek" not in name)
