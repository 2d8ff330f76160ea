"""Builds whose calls go in batches: the same rows, at half the price."""

import json
import re
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from batch_server import BATCH, AnthropicBatchServer, End, Held, OpenAIBatchServer
from chat_server import Reply
from rich.console import Console
from sums_project import files, number_in, rows_of, solve, sums_project, write_models
from test_anthropic import play
from test_money import PRICE, PRICES, Till, Wordy, plainly, run_json

from vlaa_thinking import BuildResult, Project, Run, build, plan
from vlaa_thinking.counts import Counts
from vlaa_thinking.display import Progress, foretell
from vlaa_thinking.errors import BudgetReached, ModelError, ProjectError, SetupError

Server = OpenAIBatchServer | AnthropicBatchServer


@pytest.fixture
def server() -> Iterator[OpenAIBatchServer]:
    with OpenAIBatchServer(solve) as served:
        yield served


def treat(project: Project, server: Server, **treatment: Any) -> Project:
    """Change how the models are called."""
    api = "anthropic" if isinstance(server, AnthropicBatchServer) else "openai"
    write_models(project.root, server.url, **{"api": api, **treatment})
    return Project.open(project.root)


def bodies(server: Server) -> list[str]:
    return [json.dumps(body, sort_keys=True) for body in server.requests]


def served(api: str) -> Server:
    return OpenAIBatchServer(solve) if api == "openai" else AnthropicBatchServer(play)


def data(out: Path) -> dict[str, bytes]:
    """Read what holds rows."""
    return {name: body for name, body in files(out).items() if name.endswith((".parquet", ".png"))}


def rows_live(folder: Path, server: Server) -> tuple[Project, dict[str, bytes], BuildResult]:
    """Make a project and build it live."""
    api = "anthropic" if isinstance(server, AnthropicBatchServer) else "openai"
    project = sums_project(folder / "p", server.url, count=24, api=api, **PRICES)
    result = build(project, out=folder / "live")
    return project, data(folder / "live"), result


@pytest.fixture(scope="module", params=["openai", "anthropic"])
def live(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, bytes], int]:
    """Which API it is, the rows of a live build, and its calls."""
    with served(request.param) as server:
        _, rows, result = rows_live(tmp_path_factory.mktemp("live"), server)
    return request.param, rows, result.calls


@pytest.mark.parametrize("api", ["openai", "anthropic"])
def test_a_build_in_batches_gives_the_rows_of_a_live_one(tmp_path: Path, api: str) -> None:
    with served(api) as server:
        project, rows, live = rows_live(tmp_path, server)
        batched = build(treat(project, server, **BATCH, **PRICES), out=tmp_path / "batched")
        asked = bodies(server)
        assert data(tmp_path / "batched") == rows
        assert not build(treat(project, server, **PRICES), out=tmp_path / "batched").calls
        assert files(tmp_path / "batched") == files(
            tmp_path / "live"
        )  # a rebuild cannot tell how an answer came
    assert batched.calls == live.calls
    assert sorted(asked[: live.calls]) == sorted(asked[live.calls :])
    assert len(server.charged) == live.calls - 4  # the first call of each step goes live
    assert 0.5 * live.spent < batched.spent < 0.7 * live.spent
    note = run_json(tmp_path / "batched")
    assert note["calls"].keys() == {"captioner", "reasoner", "rewriter", "judge"}


def test_a_build_may_begin_in_one_mode_and_end_in_the_other(
    tmp_path: Path, server: OpenAIBatchServer
) -> None:
    project, rows, live = rows_live(tmp_path, server)
    build(treat(project, server, **BATCH, **PRICES), out=tmp_path / "a", limit=12)
    build(treat(project, server, **PRICES), out=tmp_path / "a")
    assert files(tmp_path / "a") == files(tmp_path / "live")
    build(project, out=tmp_path / "b", limit=12)
    in_batches = len(server.charged)
    build(treat(project, server, **BATCH, **PRICES), out=tmp_path / "b")
    assert len(server.charged) > in_batches
    assert data(tmp_path / "b") == rows
    assert server.calls == 3 * live.calls


def test_what_a_batch_left_is_sent_again_and_nothing_else(
    tmp_path: Path, live: tuple[str, dict[str, bytes], int]
) -> None:
    api, rows, calls = live
    end: End = "expired" if api == "openai" else "cancelled"
    with served(api) as server:
        server.auto, server.share = end, 0.5

        def made(_: Held) -> None:
            server.auto = "ended" if len(server.batches) % 2 else end

        server.creating = made
        project = sums_project(tmp_path / "p", server.url, count=24, api=api, **BATCH | {"tries": 20})
        build(project, out=tmp_path / "out")
    assert any(b.state == end for b in server.batches)
    assert data(tmp_path / "out") == rows
    assert len(set(server.charged)) == len(server.charged) == calls - 4


def faulty(reply: Callable[[dict[str, Any]], Reply], *, fails: int) -> Callable[[dict[str, Any]], Reply]:
    """Refuse what is asked about sum 3, and be overloaded `fails` times for sum 8."""
    failed: list[int] = []

    def said(body: dict[str, Any]) -> Reply:
        if body["model"] == "mind" and number_in(body) == 3:
            words = {"type": "invalid_request_error", "message": "this is not for me"}
            return 400, {}, {"type": "error", "error": words}
        if body["model"] == "mind" and number_in(body) == 8 and len(failed) < fails:
            failed.append(8)
            return 529, {}, {"type": "error", "error": {"type": "overloaded_error", "message": "too many"}}
        return reply(body)

    return said


@pytest.mark.parametrize("api", ["openai", "anthropic"])
def test_errors_in_a_batch_end_as_live_ones_do(tmp_path: Path, api: str) -> None:
    reply = solve if api == "openai" else play
    with served(api) as server:
        server.reply = faulty(reply, fails=1)
        project, rows, _ = rows_live(tmp_path, server)
        server.reply = faulty(reply, fails=1)
        build(treat(project, server, **BATCH), out=tmp_path / "batched")
        assert data(tmp_path / "batched") == rows
        (refused,) = [r for r in rows_of(tmp_path / "batched")["rejected/train"] if r["source_id"] == "0003"]
        assert (refused["step"], refused["code"]) == ("distill", "refused")
        assert "this is not for me" in refused["evidence"]
        server.reply = faulty(reply, fails=99)
        failed = build(Project.open(project.root), out=tmp_path / "failed", limit=12)
        assert (failed.funnel.failed, failed.exit_code) == (1, 3)


def test_a_wrong_set_up_is_told_by_the_first_call(tmp_path: Path, server: OpenAIBatchServer) -> None:
    server.reply = lambda _: (400, {}, {"error": {"message": "there is no temperature here"}})
    with pytest.raises(ModelError, match=r"there is no temperature here.*see params, omit"):
        build(sums_project(tmp_path / "p", server.url, **BATCH), out=tmp_path / "out")
    assert (server.calls, server.batches) == (1, [])


@pytest.mark.parametrize(
    ("status", "words", "told"),
    [(401, "who are you?", "answered 401: who are you"), (429, "insufficient_quota", "is used up")],
)
def test_an_account_that_fails_inside_a_batch_stops_the_build(
    tmp_path: Path, server: OpenAIBatchServer, status: int, words: str, told: str
) -> None:
    project = sums_project(tmp_path / "p", server.url, count=12, **BATCH)

    def said(body: dict[str, Any]) -> Reply:
        late = body["model"] == "mind" and number_in(body) == 7
        return (status, {}, {"error": {"message": words}}) if late else solve(body)

    server.reply = said
    with pytest.raises(ModelError, match=told):
        build(project, out=tmp_path / "out")
    server.reply = solve
    assert build(project, out=tmp_path / "out").exit_code == 0
    assert len(set(server.charged)) == len(server.charged)  # all other replies of that batch were kept


def test_a_batch_that_is_too_large_goes_in_halves(
    tmp_path: Path, live: tuple[str, dict[str, bytes], int]
) -> None:
    api, rows, calls = live
    with served(api) as server:
        server.most_bytes = 12_000
        project = sums_project(tmp_path / "p", server.url, count=24, api=api, **BATCH)
        build(project, out=tmp_path / "out")
        assert data(tmp_path / "out") == rows
        assert len(set(server.charged)) == len(server.charged) == calls - 4
        assert len(server.batches) > 6
        server.most_bytes = 100  # nothing fits: each request is refused, as a live 413 is
        result = build(project, out=tmp_path / "none", limit=6)
        assert result.funnel.steps[1].dropped == {
            "refused": 3
        }  # the other image's caption was asked for live


def test_a_batch_is_split_by_count_and_by_bytes(tmp_path: Path, server: OpenAIBatchServer) -> None:
    project = sums_project(
        tmp_path / "p", server.url, count=24, mode="batch", batch=BATCH["batch"] | {"count": 5}
    )
    build(project, out=tmp_path / "count")
    assert max(len(batch.lines) for batch in server.batches) == 5
    server.batches.clear()
    build(
        treat(project, server, mode="batch", batch=BATCH["batch"] | {"bytes": 10_000}), out=tmp_path / "bytes"
    )
    sizes = [sum(len(json.dumps(line)) for line in batch.lines) for batch in server.batches]
    assert max(len(batch.lines) for batch in server.batches) > 1
    assert max(sizes) < 11_000
    assert files(tmp_path / "bytes").keys() == files(tmp_path / "count").keys()


@pytest.mark.parametrize(
    ("code", "words"), [("token_limit_exceeded", ""), ("invalid_model", "no batches for this model")]
)
def test_a_batch_that_fails_as_a_whole_is_sent_later_or_told(
    tmp_path: Path, server: OpenAIBatchServer, code: str, words: str
) -> None:
    project = sums_project(tmp_path / "p", server.url, count=12, **BATCH)

    def made(batch: Held) -> None:
        if len(server.batches) <= 2:
            batch.state, batch.results, batch.fault = "failed", {}, {"code": code, "message": words}

    server.auto, server.creating = None, made
    watched = Run(watch=lambda _: server.finish())
    if words:
        with pytest.raises(ModelError, match=f"turned a batch down: {code} {words}"):
            build(project, out=tmp_path / "out", run=watched)
        server.creating = None
    result = build(project, out=tmp_path / "out", run=watched)
    assert result.exit_code == 0
    assert len(set(server.charged)) == len(server.charged)


def test_a_budget_holds_over_batches(tmp_path: Path) -> None:
    till = Till(plainly)
    with OpenAIBatchServer(till) as server:
        project = sums_project(tmp_path / "p", server.url, count=24, **BATCH, **PRICES)
        with pytest.raises(BudgetReached, match="every answer is kept"):
            build(project, out=tmp_path / "out", run=Run(budget=0.12))
        first = charged(server, till)
        assert 0 < first <= 0.12
        result = build(project, out=tmp_path / "out", run=Run(budget=5.0))
        assert first + result.spent == pytest.approx(charged(server, till))
        assert len(set(server.charged)) == len(server.charged)


def charged(server: OpenAIBatchServer, till: Till) -> float:
    """Add up what the server charges: batches at half the price."""
    batched = sum(PRICE.of(u["prompt_tokens"], u["completion_tokens"]) for u in server.usage)
    return till.charged - 0.5 * batched


def test_a_plan_says_what_batches_will_cost(tmp_path: Path) -> None:
    """A sample of 50 rows, and lognormal replies."""
    till = Wordy(2)
    with OpenAIBatchServer(till) as server:
        project = sums_project(tmp_path / "p", server.url, count=240, max_concurrency=32, **BATCH, **PRICES)
        made = plan(project, out=tmp_path / "out", sample=50)
        assert made.spent == pytest.approx(till.charged)  # the sample is asked live: it knows in minutes
        assert not server.batches
        build(project, out=tmp_path / "out")
    assert made.batch == made.expected
    assert made.batch is not None
    assert made.live == pytest.approx(2 * made.batch)
    assert made.spent + made.batch == pytest.approx(charged(server, till), rel=0.1)
    said = StringIO()
    foretell(made, Console(file=said, width=200))
    header, *lines = said.getvalue().splitlines()
    assert header.split()[-2:] == ["live", "batch"]
    total = next(line for line in lines if line.startswith("in all"))
    assert total.split()[-2:] == [f"${made.live:,.2f}", f"${made.batch:,.4f}"]
    assert "Expected is with caption, distill, rewrite, verify in batches" in said.getvalue()


def test_the_display_shows_each_batch(tmp_path: Path, server: OpenAIBatchServer) -> None:
    said = StringIO()
    shown: set[str] = set()
    server.auto = None

    def look(counts: Counts) -> None:
        progress(counts)
        under_way = {b.roles for b in counts.batches.values() if b.state == "in_progress"}
        shown.update(under_way)
        if under_way:
            server.finish()

    with Progress(Console(file=said, force_terminal=True, width=120)) as progress:
        build(sums_project(tmp_path / "p", server.url, **BATCH), out=tmp_path / "out", run=Run(watch=look))
    assert {"captioner", "reasoner"} <= shown
    assert "batch of" in said.getvalue()
    assert re.search(r"batches under way: 1 of \d requests, the oldest for \d:\d\d", said.getvalue())


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("batch = { cuont = 3 }", r'unknown key "cuont"; did you mean "count"\?'),
        ('mode = "batches"', '"mode" must be one of "live", "batch"'),
        ("batch = { count = 50001 }", '"count" must be at most 50,000: the api "openai"'),
        ("batch = { bytes = 200000001 }", '"bytes" must be at most 200,000,000'),
        ("batch = { price = 2 }", '"price" must be between 0 and 1'),
    ],
)
def test_the_settings_are_read_strictly(tmp_path: Path, line: str, told: str) -> None:
    project = sums_project(tmp_path / "p", "http://127.0.0.1:9/v1")
    models = project.root / "generators/models.toml"
    models.write_text(models.read_text() + line + "\n")
    with pytest.raises(ProjectError, match=f"models.toml, line .*{told}"):
        build(project, out=tmp_path / "out")


def test_a_model_without_batches_is_named(tmp_path: Path) -> None:
    project = Project.default().copy(tmp_path / "p")
    models = project.root / "generators/models.toml"
    models.write_text(models.read_text().replace('api = "demo"', 'api = "demo"\nmode = "batch"', 1))
    with pytest.raises(SetupError, match='the api "demo" has no batches; "openai" and "anthropic" have'):
        build(project, out=tmp_path / "out")
