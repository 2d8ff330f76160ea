"""Model calls as they go over the wire: what is sent, what is read out of a reply, what is tried again."""

import base64
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import chat_server
import pytest
from chat_server import ChatServer, Reply
from sums_project import (
    image_urls,
    number_in,
    picture,
    rows_of,
    solve,
    sum_row,
    sums_project,
    toml,
    write_models,
    write_rows,
)

from vlaa_thinking import Completion, Project, build
from vlaa_thinking.errors import ModelError

Hook = Callable[[dict[str, Any]], Reply]


def error(status: int, words: str, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, named, {"error": {"message": words, "type": "x", "param": None, "code": None}}


def on_call(number: int, model: str, answer: Reply | Hook, *, until: int | None = None) -> Hook:
    """Answer a model's call `number` (or all up to `until`) in another way, and all else as `solve` does."""
    count: Counter[str] = Counter()
    lock = threading.Lock()

    def reply(body: dict[str, Any]) -> Reply:
        with lock:
            count[body["model"]] += 1
            here = body["model"] == model and number <= count[model] <= (until or number)
        if not here:
            return solve(body)
        return answer(body) if callable(answer) else answer

    return reply


def calls_to(server: ChatServer, model: str) -> list[dict[str, Any]]:
    return [body for body in server.requests if body["model"] == model]


def noted(out: Path) -> dict[str, Any]:
    note: dict[str, Any] = json.loads((out.parent / f"{out.name}.work" / "run.json").read_text())
    return note


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(solve) as chat:
        yield chat


# --- reading -------------------------------------------------------------------------------------------------


def body(finish: str | None = "stop", **message: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    return json.dumps({"id": "1", "choices": [choice], "usage": usage}).encode()


def test_a_reply_is_read_with_its_usage() -> None:
    completion = Completion(api="openai", body=body(content=" Four. "))
    assert (completion.text, completion.reasoning, completion.state) == ("Four.", "", "ok")
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (7, 3)


@pytest.mark.parametrize(
    ("message", "reasoning", "text"),
    [
        ({"content": "<think>\n2 and 2\n</think>\n\nFour."}, "2 and 2", "Four."),
        ({"content": "\n <think>2</think>Four."}, "2", "Four."),
        ({"content": "Four.", "reasoning_content": "2 and 2"}, "2 and 2", "Four."),
        ({"content": "Four.", "reasoning": "2 and 2"}, "2 and 2", "Four."),
        ({"content": "Four.", "reasoning": None, "reasoning_content": None}, "", "Four."),
        ({"content": "Four, I <think>."}, "", "Four, I <think>."),
        # The reasoning repeats a tag that the question quotes: the last end counts.
        (
            {"content": "<think>It says </think> there.</think><answer>4</answer>"},
            "It says </think> there.",
            "<answer>4</answer>",
        ),
        # The answer is that very tag: it stays whole.
        (
            {"content": "<think>Which tag?</think>\n<answer></think></answer>"},
            "Which tag?",
            "<answer></think></answer>",
        ),
    ],
)
def test_reasoning_is_told_from_the_answer(message: dict[str, Any], reasoning: str, text: str) -> None:
    completion = Completion(api="openai", body=body(**message))
    assert (completion.reasoning, completion.text, completion.state) == (reasoning, text, "ok")


@pytest.mark.parametrize(
    ("finish", "message", "state"),
    [
        ("length", {"content": "Fo"}, "truncated"),
        ("length", {"content": ""}, "truncated"),
        ("length", {"content": "<think>2 and"}, "truncated"),
        ("content_filter", {"content": "Fo"}, "filtered"),
        ("content_filter", {"content": None}, "filtered"),
        ("stop", {"content": None, "refusal": "I cannot help."}, "refused"),
        ("stop", {"content": ""}, "empty"),
        ("stop", {"content": " \n"}, "empty"),
        ("stop", {"content": None}, "empty"),
        ("stop", {"content": "<think>2 and 2</think>"}, "empty"),
        ("stop", {"content": "", "reasoning_content": "2 and 2"}, "empty"),
        ("never_heard_of", {"content": "Four."}, "ok"),
        (None, {"content": "Four."}, "ok"),
    ],
)
def test_how_a_reply_ended_is_a_state(finish: str | None, message: dict[str, Any], state: str) -> None:
    assert Completion(api="openai", body=body(finish, **message)).state == state


def test_a_refusal_s_words_are_its_text() -> None:
    completion = Completion(api="openai", body=body(content=None, refusal="I cannot help."))
    assert completion.text == "I cannot help."


def test_thinking_that_was_cut_is_reasoning_and_no_text() -> None:
    completion = Completion(api="openai", body=body("length", content="<think>2 and"))
    assert (completion.reasoning, completion.text) == ("2 and", "")


def test_an_error_body_is_a_refusal_with_its_words() -> None:
    said = json.dumps({"error": {"message": "too large", "code": "too_big"}}).encode()
    completion = Completion(api="openai", body=said, status=413)
    assert (completion.state, completion.text, completion.reply.detail) == (
        "refused",
        "",
        "too large too_big",
    )


# --- what is sent --------------------------------------------------------------------------------------------


def test_images_are_sent_as_they_are(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=3, per_image=1)
    originals = {
        "image/png": picture(1, mode="RGBA"),
        "image/jpeg": picture(2, form="JPEG"),
        "image/gif": picture(3, form="GIF", mode="P"),
    }
    for number, data in enumerate(originals.values()):
        (project.root / f"images/{number}.png").write_bytes(data)  # the suffix tells nothing
    build(project, out=tmp_path / "out")
    urls = [url.partition(",") for asked in calls_to(server, "eye") for url in image_urls(asked)]
    sent = {head: base64.b64decode(data) for head, _, data in urls}
    assert sent == {f"data:{media_type};base64": data for media_type, data in originals.items()}
    assert not any(image_urls(asked) for asked in calls_to(server, "mind"))


def test_a_large_image_is_scaled_down_for_sending_alone(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=1, max_side=32)
    original = picture(1, size=(300, 150))
    (project.root / "images/0.png").write_bytes(original)
    build(project, out=tmp_path / "out")
    ((url,),) = [image_urls(asked) for asked in calls_to(server, "eye")]
    data = base64.b64decode(url.partition(",")[2])
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")) == (32, 16)
    assert rows_of(tmp_path / "out")["sft/train"][0]["image"]["bytes"] == original


def test_parameters_are_sent_as_declared(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(
        tmp_path / "p",
        server.url,
        count=7,
        omit=["temperature"],
        max_tokens_field="max_completion_tokens",
        params={"top_p": 0.9, "stop": ["##"], "max_completion_tokens": 77},
    )
    build(project, out=tmp_path / "out")
    for model in ("eye", "mind"):
        for asked in calls_to(server, model):
            rest = {key: value for key, value in asked.items() if key != "messages"}
            tokens = rest.pop("max_completion_tokens")
            assert tokens in ((77, 77 * 4) if model == "mind" else (77,))
            assert rest == {"model": model, "top_p": 0.9, "stop": ["##"]}


def test_the_prompt_s_parameters_are_sent_where_the_model_says_nothing(
    tmp_path: Path, server: ChatServer
) -> None:
    project = sums_project(tmp_path / "p", server.url, count=1)
    settings = project.settings()
    build(project, out=tmp_path / "out")
    for model, step in (("eye", "caption"), ("mind", "distill")):
        (call,) = calls_to(server, model)
        rest = {key: value for key, value in call.items() if key != "messages"}
        assert rest == {"model": model, **settings.prompts[step].head.params}
        assert [message["role"] for message in call["messages"]] == ["system", "user"]


@pytest.mark.parametrize("structured", [True, False])
def test_a_schema_is_sent_where_the_server_takes_one(
    tmp_path: Path, server: ChatServer, *, structured: bool
) -> None:
    project = sums_project(tmp_path / "p", server.url, count=7, structured=structured)
    build(project, out=tmp_path / "out")
    (asked,) = calls_to(server, "ear")
    assert ("response_format" in asked) is structured
    if structured:
        assert asked["response_format"]["type"] == "json_schema"
        assert asked["response_format"]["json_schema"]["strict"] is True
        assert set(asked["response_format"]["json_schema"]["schema"]["properties"]) == {"reason", "verdict"}


def test_a_key_goes_into_the_header_alone(
    tmp_path: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SERVERS_KEY", "sk-very-secret-0123")
    project = sums_project(tmp_path / "p", server.url, count=1, api_key_env="MY_SERVERS_KEY")
    build(project, out=tmp_path / "out")
    assert {headers["authorization"] for headers in server.headers} == {"Bearer sk-very-secret-0123"}
    assert "very-secret" not in json.dumps(server.requests)


def test_a_missing_key_is_named_before_any_call(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=1, api_key_env="MY_SERVERS_KEY")
    with pytest.raises(ModelError, match="MY_SERVERS_KEY"):
        build(project, out=tmp_path / "out")
    assert server.calls == 0


def test_a_judge_that_gives_no_verdict_is_asked_once_more(tmp_path: Path, server: ChatServer) -> None:
    server.reply = on_call(1, "ear", "Right, I think.")
    project = sums_project(tmp_path / "p", server.url, count=7)
    build(project, out=tmp_path / "out")
    first, second = calls_to(server, "ear")
    assert [m["role"] for m in second["messages"]] == ["system", "user", "assistant", "user"]
    assert second["messages"][:2] == first["messages"]
    assert second["messages"][2]["content"] == "Right, I think."
    assert "sums/0006" in [row["id"] for row in rows_of(tmp_path / "out")["sft/train"]]


def test_a_truncated_reply_is_asked_for_once_more_with_more_room(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=6)
    build(project, out=tmp_path / "out")
    room = [asked["max_tokens"] for asked in calls_to(server, "mind") if number_in(asked) == 5]
    assert room == [8192, 32768]
    (row,) = [row for row in rows_of(tmp_path / "out")["rejected/train"] if row["id"] == "sums/0005"]
    assert (row["step"], row["code"]) == ("distill", "truncated")
    assert "at 32768 tokens" in str(row["evidence"]) or row["evidence"] == "length"


def test_more_room_may_be_enough(tmp_path: Path, server: ChatServer) -> None:
    server.reply = on_call(1, "mind", {"content": "<think>0 and", "finish_reason": "length"})
    project = sums_project(tmp_path / "p", server.url, count=1)
    assert build(project, out=tmp_path / "out").kept == 1
    assert [asked["max_tokens"] for asked in calls_to(server, "mind")] == [8192, 32768]


def test_more_room_than_a_server_has_leaves_the_reply_truncated(tmp_path: Path, server: ChatServer) -> None:
    def reply(body: dict[str, Any]) -> Reply:
        if body["model"] == "mind" and body["max_tokens"] > 8192:
            return error(400, "maximum context length is 16384 tokens")
        return solve(body)

    server.reply = reply
    project = sums_project(tmp_path / "p", server.url, count=6)
    assert build(project, out=tmp_path / "out").funnel.steps[2].dropped == {"truncated": 1}


# --- errors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_that_is_refused_is_a_fact_about_its_row(
    tmp_path: Path, server: ChatServer, status: int
) -> None:
    server.reply = on_call(2, "mind", error(status, "this one is too much"))
    project = sums_project(tmp_path / "p", server.url, count=3, max_concurrency=1)
    result = build(project, out=tmp_path / "out")
    assert result.exit_code == 0
    assert result.funnel.steps[2].dropped == {"refused": 1}
    (row,) = rows_of(tmp_path / "out")["rejected/train"]
    assert (row["step"], row["code"]) == ("distill", "refused")
    assert "this one is too much" in row["evidence"]
    calls = server.calls
    assert build(project, out=tmp_path / "out").funnel == result.funnel
    assert server.calls == calls  # a refusal is paid once


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_model_that_refuses_its_first_call_is_set_up_wrong(
    tmp_path: Path, server: ChatServer, status: int
) -> None:
    server.reply = on_call(1, "mind", error(status, "no such parameter"), until=99)
    project = sums_project(tmp_path / "p", server.url, count=3, max_concurrency=1)
    with pytest.raises(ModelError, match=rf'"mind".*{status}.*no such parameter'):
        build(project, out=tmp_path / "out")
    assert len(calls_to(server, "mind")) == 1
    assert not (tmp_path / "out").exists()
    server.reply = solve  # mended: nothing of it was recorded
    assert build(project, out=tmp_path / "out").kept == 3


def test_a_refusal_in_a_later_run_is_no_first_call(tmp_path: Path, server: ChatServer) -> None:
    def busy(body: dict[str, Any]) -> Reply:
        return error(503, "busy") if body["model"] == "mind" and number_in(body) == 2 else solve(body)

    def never(body: dict[str, Any]) -> Reply:
        return error(400, "too long") if body["model"] == "mind" and number_in(body) == 2 else solve(body)

    server.reply = busy
    project = sums_project(tmp_path / "p", server.url, count=4)
    assert build(project, out=tmp_path / "out").exit_code == 3
    server.reply = never  # the one call of this run
    result = build(project, out=tmp_path / "out")
    assert (result.exit_code, result.funnel.steps[2].dropped) == (0, {"refused": 1})


@pytest.mark.parametrize(("status", "model"), [(401, "mind"), (403, "mind"), (404, "mind"), (401, "eye")])
def test_a_model_that_cannot_be_used_stops_the_build_at_once(
    tmp_path: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch, status: int, model: str
) -> None:
    monkeypatch.setenv("MY_SERVERS_KEY", "sk-very-secret-0123")
    server.reply = on_call(1, model, error(status, "not you"), until=99)
    project = sums_project(
        tmp_path / "p", server.url, count=6, max_concurrency=1, tries=5, api_key_env="MY_SERVERS_KEY"
    )
    with pytest.raises(ModelError, match=f'"{model}" answered {status}: not you') as caught:
        build(project, out=tmp_path / "out")
    assert len(calls_to(server, model)) == 1
    assert ("MY_SERVERS_KEY" in str(caught.value)) is (status != 404)


def test_an_error_does_not_repeat_a_key(
    tmp_path: Path, server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SERVERS_KEY", "sk-very-secret-0123")
    server.reply = on_call(1, "eye", error(401, "Incorrect API key: sk-very-secret-0123"), until=99)
    project = sums_project(tmp_path / "p", server.url, count=1, api_key_env="MY_SERVERS_KEY")
    with pytest.raises(ModelError, match='"eye" answered 401') as caught:
        build(project, out=tmp_path / "out")
    assert "very-secret" not in str(caught.value)


def late(body: dict[str, Any]) -> Reply:
    time.sleep(1.2)
    return solve(body)


PASSING: dict[str, Reply | Hook] = {
    "429": error(429, "slow down"),
    "429 with nonsense": error(429, "slow down", Retry_After="soon"),
    "408": error(408, "too slow"),
    "500": error(500, "oops"),
    "503": error(503, "loading"),
    "502 in HTML": (502, {"Content-Type": "text/html"}, "<html>Bad gateway</html>"),
    "HTML": (200, {}, "<html>Welcome to the proxy</html>"),
    "cut JSON": (200, {}, '{"id": "1", "choices": [{"index": 0, "mess'),
    "nothing": (200, {}, ""),
    "a list": (200, {}, "[]"),
    "null": (200, {}, "null"),
    "an error": (200, {}, {"error": {"message": "upstream is down"}}),
    "no choices": (200, {}, {"choices": []}),
    "no message": (200, {}, {"choices": [{"message": None}]}),
    "a text": (200, {}, {"choices": [{"message": "Four."}]}),
    "bad usage": (200, {}, {"choices": [{"message": {"content": "Four."}}], "usage": 5}),
    "bad tokens": (
        200,
        {},
        {"choices": [{"message": {"content": "Four."}}], "usage": {"completion_tokens": "many"}},
    ),
    "bad refusal": (200, {}, {"choices": [{"message": {"content": None, "refusal": {"why": "no"}}}]}),
    "late": late,
}


def test_what_may_pass_is_tried_again(tmp_path: Path, server: ChatServer) -> None:
    """Each row's first call to the reasoner goes wrong in another way, the second does not."""
    faults = dict(zip((12 * n for n in range(1, 99)), PASSING.values(), strict=False))
    seen: Counter[int] = Counter()

    def reply(body: dict[str, Any]) -> Reply:
        if body["model"] != "mind":
            return solve(body)
        number = number_in(body)
        seen[number] += 1
        fault = faults.get(number, solve) if seen[number] == 1 else solve
        return fault(body) if callable(fault) else fault

    server.reply = reply
    project = sums_project(tmp_path / "p", server.url, count=1, timeout=1.0)
    write_rows(project.root, [sum_row(number, image=0) for number in (0, *faults)])
    result = build(project, out=tmp_path / "out")
    tried = {name: seen[number] for name, number in zip(PASSING, faults, strict=True)}
    paid = ("bad usage", "bad tokens")  # a reply whose tokens cannot be counted is a reply all the same
    assert tried == dict.fromkeys(PASSING, 2) | dict.fromkeys(paid, 1)
    assert (result.exit_code, result.kept) == (0, 1 + len(PASSING) - len(paid))
    assert noted(tmp_path / "out")["retries"] == len(PASSING) - len(paid)


class _Unfinished(chat_server._Handler):
    """Ends the first reply to each model early: in the middle of its body, or before it began."""

    silent = False

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        assert isinstance(self.server, chat_server._Server)
        seen = Counter(asked["model"] for asked in self.server.chat.requests)
        if max(seen.values()) > 1:
            super()._send(status, headers, body)
            return
        if not self.silent:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
        self.close_connection = True


class _Silent(_Unfinished):
    silent = True


@pytest.mark.parametrize("handler", [_Unfinished, _Silent])
def test_a_reply_that_is_cut_is_asked_for_again(
    tmp_path: Path, server: ChatServer, handler: type[_Unfinished]
) -> None:
    server._http.RequestHandlerClass = handler
    project = sums_project(tmp_path / "p", server.url, count=1)
    assert build(project, out=tmp_path / "out").kept == 1
    assert len(calls_to(server, "eye")) == 2
    assert noted(tmp_path / "out")["retries"] == 1


@pytest.mark.parametrize("as_date", [False, True])
def test_a_call_waits_as_long_as_the_server_says(
    tmp_path: Path, server: ChatServer, *, as_date: bool
) -> None:
    arrivals: list[float] = []

    def refuse(_body: dict[str, Any]) -> Reply:
        arrivals.append(time.time())
        when = "1.2"
        if as_date:  # whole seconds: so many that at least one is left
            when = format_datetime(datetime.now(UTC) + timedelta(seconds=2.2), usegmt=True)
        return error(429, "slow down", Retry_After=when)

    def answer(body: dict[str, Any]) -> Reply:
        if body["model"] == "mind":
            arrivals.append(time.time())
        return solve(body)

    first = on_call(1, "mind", refuse)
    server.reply = lambda body: first(body) if not arrivals else answer(body)
    project = sums_project(tmp_path / "p", server.url, count=1)
    assert build(project, out=tmp_path / "out").kept == 1
    came, again = arrivals
    assert 1.1 < again - came < 30


def test_a_model_that_never_answers_stops_the_build(tmp_path: Path, server: ChatServer) -> None:
    server.reply = on_call(1, "mind", error(500, "out of order"), until=99)
    project = sums_project(tmp_path / "p", server.url, count=3, max_concurrency=1)
    with pytest.raises(ModelError, match=r'"mind" never answered.*out of order'):
        build(project, out=tmp_path / "out")
    assert len(calls_to(server, "mind")) >= 2
    assert not (tmp_path / "out").exists()


def test_a_server_that_is_not_there_stops_the_build(tmp_path: Path) -> None:
    with ChatServer() as gone:
        url = gone.url
    project = sums_project(tmp_path / "p", url, count=1)
    with pytest.raises(ModelError, match=r'"eye" never answered.*base_url'):
        build(project, out=tmp_path / "out")


def test_a_password_in_an_address_is_refused_and_not_repeated(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url.replace("http://", "http://me:hunter2@"), count=1)
    with pytest.raises(ModelError, match=r'base_url of the model "eye" holds .* api_key_env') as caught:
        build(project, out=tmp_path / "out")
    assert "hunter2" not in str(caught.value)
    assert server.calls == 0


def test_a_row_without_a_reply_has_failed_and_is_asked_again(tmp_path: Path, server: ChatServer) -> None:
    healthy = threading.Event()

    def reply(body: dict[str, Any]) -> Reply:
        if body["model"] == "mind" and number_in(body) == 2 and not healthy.is_set():
            return error(500, "out of order")
        return solve(body)

    server.reply = reply
    project = sums_project(tmp_path / "p", server.url, count=4)
    for _ in range(2):  # the second run asks for this row alone, and it fails in the same way
        result = build(project, out=tmp_path / "out")
        assert result.exit_code == 3
        assert (result.funnel.failed, result.funnel.steps[2].failed, result.kept) == (1, 1, 2)
        published = [row["id"] for rows in rows_of(tmp_path / "out").values() for row in rows]
        assert sorted(published) == ["sums/0000", "sums/0001", "sums/0003"]
    healthy.set()
    calls = server.calls
    result = build(project, out=tmp_path / "out")
    assert (result.exit_code, result.funnel.failed, result.kept) == (0, 0, 3)
    new = server.requests[calls:]
    assert [(asked["model"], number_in(asked)) for asked in new if asked["model"] == "mind"] == [("mind", 2)]
    assert len(new) == 2  # and its rewrite


# --- many calls ----------------------------------------------------------------------------------------------


def test_no_more_calls_are_in_flight_than_allowed(tmp_path: Path, server: ChatServer) -> None:
    now: Counter[str] = Counter()
    most: Counter[str] = Counter()
    lock = threading.Lock()

    def reply(body: dict[str, Any]) -> Reply:
        model = body["model"]
        with lock:
            now[model] += 1
            most[model] = max(most[model], now[model])
        time.sleep(0.02)
        with lock:
            now[model] -= 1
        return solve(body)

    server.reply = reply
    project = sums_project(tmp_path / "p", server.url, count=24, per_image=1, max_concurrency=3)
    build(project, out=tmp_path / "out")
    assert most["eye"] == most["mind"] == 3
    assert max(most.values()) == 3


def one_model(project: Project, url: str, **treatment: Any) -> None:
    """Let one model play all roles."""
    roles = dict.fromkeys(("captioner", "reasoner", "rewriter", "judge"), "all")
    model = {"api": "openai", "base_url": url, "model": "all", **treatment}
    text = f'default = "mine"\n[profile.mine]\n{toml({**roles, "sources": ["sums"]})}\n[model.all]\n{toml(model)}\n'
    (project.root / "generators/models.toml").write_text(text)


def test_calls_of_later_steps_go_first(tmp_path: Path, server: ChatServer) -> None:
    def reply(body: dict[str, Any]) -> Reply:
        time.sleep(0.01)
        return solve({**body, "model": "eye" if image_urls(body) else "mind"})

    server.reply = reply
    project = sums_project(tmp_path / "p", server.url, count=9, per_image=1)
    write_rows(project.root, [sum_row(n * 12, image=n) for n in range(9)])
    one_model(project, server.url, max_concurrency=1)
    build(project, out=tmp_path / "out")
    steps = ["caption" if image_urls(asked) else "distill" for asked in server.requests]
    assert steps.count("caption") == steps.count("distill") == 9
    ahead = [steps[:n].count("caption") - steps[:n].count("distill") for n in range(1, 19)]
    assert max(ahead) <= 3, steps  # first come, first served would have all captions first
    assert server.max_in_flight == 1


def captioned_alike(body: dict[str, Any]) -> Reply:
    return "A box." if body["model"] == "eye" else solve(body)


def test_identical_calls_under_way_are_one(tmp_path: Path) -> None:
    """One question on four images that are captioned alike."""
    with ChatServer(captioned_alike, latency=0.2) as server:
        project = sums_project(tmp_path / "p", server.url, count=4, per_image=1)
        write_rows(project.root, [{**sum_row(0, image=n), "id": f"{n}"} for n in range(4)])
        result = build(project, out=tmp_path / "out")
    assert Counter(asked["model"] for asked in server.requests) == {"eye": 4, "mind": 1}
    assert (result.calls, result.spared, result.kept) == (5, 3, 4)


def test_rows_that_share_a_lost_call_fail_together(tmp_path: Path, server: ChatServer) -> None:
    def reply(body: dict[str, Any]) -> Reply:
        time.sleep(0.05)
        lost = body["model"] == "mind" and number_in(body) == 12
        return error(500, "oops") if lost else captioned_alike(body)

    server.reply = reply
    project = sums_project(tmp_path / "p", server.url, count=4, per_image=1)
    rows = [sum_row(0, image=0), *({**sum_row(12, image=n), "id": f"{n}"} for n in (1, 2, 3))]
    write_rows(project.root, rows)
    result = build(project, out=tmp_path / "out")
    assert (result.kept, result.funnel.failed, result.exit_code) == (1, 3, 3)
    assert len(calls_to(server, "mind")) == 1 + 2


def test_a_model_s_name_is_checked_against_what_there_is(tmp_path: Path) -> None:
    project = sums_project(tmp_path / "p", "http://127.0.0.1:1/v1", count=1)
    write_models(project.root, "http://127.0.0.1:1/v1", api="opnai")
    with pytest.raises(ModelError, match=re.escape('"opnai"') + ".*openai"):
        build(project, out=tmp_path / "out")
