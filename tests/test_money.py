"""What calls cost: prices, a budget that is never passed, and plans that come true."""

import asyncio
import json
import math
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Reply
from rich.console import Console
from sums_project import image_urls, solve, sum_row, sums_project, write_rows

from vlaa_thinking import Plan, Run, build, plan
from vlaa_thinking.counts import Counts
from vlaa_thinking.display import Progress, foretell, report
from vlaa_thinking.errors import BudgetReached, ProjectError, SetupError, Transient
from vlaa_thinking.llm import Image, Message, Request, Usage
from vlaa_thinking.llm.budget import Budget, Budgeted
from vlaa_thinking.llm.openai import OpenAI
from vlaa_thinking.prices import Price, cost, image_tokens, input_tokens, price_of
from vlaa_thinking.settings import Model

PRICES: dict[str, Any] = {"input_price": 2.0, "output_price": 10.0}
"""US dollars per million tokens, in every project here."""

PRICE = Price(input=2.0, output=10.0)


class Till:
    """Plays all models at a price: it says in each reply what it counted, and adds up what that costs."""

    def __init__(self, count: Callable[[dict[str, Any]], tuple[int, int]]) -> None:
        self.count = count
        self.charged = 0.0
        self._lock = threading.Lock()

    def __call__(self, body: dict[str, Any]) -> Reply:
        said = solve(body)
        assert not isinstance(said, tuple)
        message = {"content": said} if isinstance(said, str) else said
        read, written = self.count(body)
        with self._lock:
            self.charged += PRICE.of(read, written)
        return message | {"usage": {"prompt_tokens": read, "completion_tokens": written}}


def as_much_as_may_be(body: dict[str, Any]) -> tuple[int, int]:
    """Count as the dearest tokenizer might: one token for each byte of text, and a reply up to its limit."""
    texts = [part["text"] for part in _parts(body) if part["type"] == "text"]
    return sum(len(text.encode()) for text in texts) + 255 * len(image_urls(body)), body["max_tokens"]


def _parts(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for message in body["messages"]:
        content = message["content"]
        yield from [{"type": "text", "text": content}] if isinstance(content, str) else content


def plainly(body: dict[str, Any]) -> tuple[int, int]:
    return len(json.dumps(body["messages"])) // 5, 40


def run_json(out: Path) -> dict[str, Any]:
    note: dict[str, Any] = json.loads((out.with_name(f"{out.name}.work") / "run.json").read_text())
    return note


def distinct(server: ChatServer) -> int:
    return len({json.dumps(body, sort_keys=True) for body in server.requests})


@pytest.fixture
def till() -> Till:
    return Till(plainly)


@pytest.fixture
def server(till: Till) -> Iterator[ChatServer]:
    with ChatServer(till) as chat:
        yield chat


# --- prices --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("api", "base_url", "model"),
    [
        ("openai", "https://api.openai.com/v1", "gpt-4o"),
        ("openai", None, "gpt-4o"),
        ("openai", "https://api.deepseek.com/v1", "deepseek-reasoner"),
        ("anthropic", "https://api.anthropic.com", "claude-sonnet-4-5"),
        ("anthropic", None, "claude-sonnet-4-5"),
    ],
)
def test_a_provider_s_price_is_known(api: str, base_url: str | None, model: str) -> None:
    price = price_of(Model(api=api, base_url=base_url, model=model))
    assert price is not None
    assert 0.01 < price.input < price.output < 200


def test_prices_are_a_million_tokens_dollars() -> None:
    assert price_of(Model(api="openai", model="gpt-4o")) == Price(input=2.5, output=10)
    assert price_of(Model(api="anthropic", model="claude-sonnet-4-5")) == Price(input=3, output=15)


@pytest.mark.parametrize(
    ("base_url", "model"),
    [
        ("http://127.0.0.1:8000/v1", "gpt-4o"),
        ("http://localhost:8000/v1", "Qwen/Qwen2.5-VL-7B-Instruct"),
        ("http://127.0.0.1:8000/api.openai.com/v1", "gpt-4o"),
        ("https://api.openai.com/v1", "no-such-model"),
        ("https://api.openai.com/v1", None),
        ("https://api.cerebras.ai/v1", "qwen-3-coder-480b"),  # listed, and without a price
        ("https://api.openai.com/v1", "text-embedding-3-small"),  # writes nothing, so output has no price
    ],
)
def test_an_unknown_price_is_unknown_and_never_zero(base_url: str, model: str | None) -> None:
    assert price_of(Model(api="openai", base_url=base_url, model=model)) is None


def test_the_project_s_price_wins() -> None:
    ours: dict[str, Any] = {"input_price": 1.0, "output_price": 0.0}
    assert price_of(Model(api="openai", model="gpt-4o", **ours)) == Price(input=1, output=0)
    local = Model(api="openai", base_url="http://127.0.0.1:8000/v1", model="mine", **ours)
    assert price_of(local) == Price(input=1, output=0)


def test_cost_comes_from_usage() -> None:
    usage = Usage(input_tokens=1500, output_tokens=200)
    assert cost(PRICE, usage) == pytest.approx(0.003 + 0.002)
    assert cost(None, usage) is None
    assert cost(PRICE, Usage(input_tokens=1500)) is None
    assert cost(PRICE, Usage(output_tokens=200)) is None
    assert cost(PRICE, Usage(input_tokens=0, output_tokens=0)) == 0


def picture_of(width: int, height: int) -> Image:
    return Image(sha256="0" * 64, format="PNG", width=width, height=height, length=1, path=Path("nowhere"))


@pytest.mark.parametrize(
    ("rule", "size", "tokens"),
    [
        # OpenAI's published examples, and sizes on the edge of a tile
        ("tiles:85,170", (1024, 1024), 765),
        ("tiles:85,170", (2048, 4096), 1105),
        ("tiles:85,170", (4096, 2048), 1105),
        ("tiles:2833,5667", (1024, 1024), 25501),
        ("tiles:85,170", (512, 512), 255),
        ("tiles:85,170", (513, 512), 425),
        ("tiles:85,170", (1, 1), 255),
        ("tiles:85,170", (4032, 3024), 765),  # a telephone's photograph: 1024 x 768 to the pixel
        ("tiles:85,170", (6000, 3000), 1105),
        ("tiles:85,170", (20000, 10), 85 + 170 * 4),
        # Claude's: ceil(w / 28) * ceil(h / 28) within its limits (its published 1000 x 1000: 1296)
        ("patches:28,1568,1568", (1000, 1000), 1296),
        ("patches:28,1568,1568", (200, 200), 64),
        ("patches:28,1568,1568", (3000, 3000), 1568),
        ("patches:28,2576,4784", (3000, 3000), 4784),
        ("patches:28,2576,4784", (5152, 280), 92 * 5),
        # Qwen-VL's
        ("patches:28", (28, 28), 1),
        ("patches:28", (29, 28), 2),
        ("patches:32", (1024, 768), 768),
        # Claude's older rule of thumb, with its published examples
        ("area:750", (200, 200), 53.3),
        ("area:750", (1000, 1000), 1333.3),
        ("area:750", (1092, 1092), 1590.0),
        ("area:750", (4000, 4000), 1600),
    ],
)
def test_an_image_s_tokens_follow_the_rule(rule: str, size: tuple[int, int], tokens: float) -> None:
    model = Model(api="openai", image_tokens=rule)
    assert image_tokens(picture_of(*size), model) == pytest.approx(tokens, abs=0.1)


@pytest.mark.parametrize(("api", "tokens"), [("openai", 765), ("anthropic", 1369), ("demo", 1369)])
def test_each_api_has_its_rule(api: str, tokens: int) -> None:
    assert image_tokens(picture_of(1024, 1024), Model(api=api)) == tokens


def test_an_image_is_counted_as_it_is_sent() -> None:
    model = Model(api="openai", image_tokens="patches:28", max_side=280)
    assert image_tokens(picture_of(2800, 1400), model) == 10 * 5


@pytest.mark.parametrize("rule", ["tiles", "tiles:85", "patches:wide", "area:", "guess:1", "patches:28,1568"])
def test_a_rule_that_is_none_is_told(rule: str) -> None:
    with pytest.raises(ProjectError, match=f'image_tokens = "{rule}" is no rule.*patches:28'):
        image_tokens(picture_of(10, 10), Model(api="openai", image_tokens=rule))


def test_a_request_is_estimated_by_its_text_and_images() -> None:
    model = Model(api="openai")
    words = (Message(role="system", text="a" * 400), Message(role="user", text="b" * 800))
    assert input_tokens(Request(messages=words), model) == pytest.approx(300, rel=0.1)
    seen = Message(role="user", text="", images=(picture_of(1024, 1024), picture_of(512, 512)))
    assert input_tokens(Request(messages=(seen,)), model) == pytest.approx(765 + 255, rel=0.1)


# --- a budget ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [0.0, 0.05, 0.09])
def test_a_budget_is_never_passed(tmp_path: Path, server: ChatServer, till: Till, budget: float) -> None:
    till.count = as_much_as_may_be
    project = sums_project(tmp_path / "p", server.url, count=30, params={"max_tokens": 50}, **PRICES)
    with pytest.raises(
        BudgetReached, match=r"stopped at the budget: \$.* build again with a larger --budget"
    ):
        build(project, out=tmp_path / "out", run=Run(budget=budget))
    assert till.charged <= budget
    assert (server.calls > 0) is (budget > 0)
    assert server.max_in_flight <= 8
    assert till.charged >= budget - 0.005  # and not much of it is left unused
    assert not (tmp_path / "out").exists()
    result = build(project, out=tmp_path / "out")
    assert (result.exit_code, result.funnel.rows) == (0, 30)
    assert server.calls == distinct(server)  # nothing is paid twice
    assert till.charged > budget


def test_a_budget_that_is_enough_stops_nothing(tmp_path: Path, server: ChatServer, till: Till) -> None:
    """Reservations are far more than what is spent: where they fill the budget, calls wait for each other."""
    project = sums_project(tmp_path / "p", server.url, count=30, params={"max_tokens": 2000}, **PRICES)
    result = build(project, out=tmp_path / "out", run=Run(budget=0.15))
    assert (result.exit_code, result.funnel.rows) == (0, 30)
    assert result.spent == pytest.approx(till.charged)
    assert till.charged < 0.1


def test_the_command_stops_clean_at_its_budget(tmp_path: Path, server: ChatServer, till: Till) -> None:
    project = sums_project(tmp_path / "p", server.url, count=12, params={"max_tokens": 50}, **PRICES)
    command = [
        sys.executable,
        "-m",
        "vlaa_thinking",
        "build",
        str(project.root),
        "--out",
        str(tmp_path / "out"),
    ]
    stopped = subprocess.run([*command, "--budget", "0.005"], capture_output=True, text=True, check=False)
    assert stopped.returncode == 4
    assert "stopped at the budget: $0.00" in stopped.stderr
    assert "every answer is kept" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert 0 < till.charged <= 0.005
    finished = subprocess.run([*command, "--budget", "1"], capture_output=True, text=True, check=False)
    assert finished.returncode == 0
    assert server.calls == distinct(server)
    note = run_json(tmp_path / "out")
    assert note["spent"] + note["saved"] >= till.charged > note["spent"] > 0
    assert f"${note['spent']:.4f} spent, ${note['saved']:.4f} saved" in finished.stdout


def test_a_budget_needs_every_price(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=1)
    with pytest.raises(
        SetupError, match=r'model "eye" is not known: set input_price and output_price .*\[model\.eye\]'
    ):
        build(project, out=tmp_path / "out", run=Run(budget=5))
    assert server.calls == 0


def test_what_is_spent_and_saved_is_told(tmp_path: Path, server: ChatServer, till: Till) -> None:
    project = sums_project(tmp_path / "p", server.url, count=12, **PRICES)
    seen: list[tuple[float, float]] = []
    run = Run(watch=lambda counts: seen.append((counts.spent, counts.saved)))
    first = build(project, out=tmp_path / "out", run=run)
    joined = first.saved  # three questions share an image, and so a caption
    assert first.spent == pytest.approx(till.charged)
    assert seen[-1] == (first.spent, first.saved)
    note = run_json(tmp_path / "out")
    assert (note["spent"], note["saved"], note["unpriced"]) == (first.spent, first.saved, 0)
    assert sum(role["spent"] for role in note["calls"].values()) == pytest.approx(first.spent)
    again = build(project, out=tmp_path / "out")
    assert again.spent == 0
    assert again.saved == pytest.approx(till.charged + joined)
    said = StringIO()
    report(again, Console(file=said, width=200))
    assert f"$0.00 spent, ${again.saved:.4f} saved" in said.getvalue()


def test_the_display_says_what_is_spent(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=3, **PRICES)
    said = StringIO()
    with Progress(Console(file=said, width=200, force_terminal=True)) as watch:
        result = build(project, out=tmp_path / "out", run=Run(watch=watch))
    assert f"${result.spent:.4f} spent" in said.getvalue()


def test_what_has_no_price_is_counted_apart(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=6, **PRICES)
    models = project.root / "generators/models.toml"
    models.write_text(models.read_text().replace("input_price = 2.0\n", "", 1))  # the captioner's
    result = build(project, out=tmp_path / "out")
    assert result.spent > 0
    assert (result.unpriced, run_json(tmp_path / "out")["unpriced"]) == (2, 2)
    said = StringIO()
    report(result, Console(file=said, width=200))
    assert f"${result.spent:.4f} + 2 calls of unknown price spent" in said.getvalue()


# --- what an attempt costs that gave no reply ----------------------------------------------------------------

REQUEST = Request(
    messages=(Message(role="user", text="How much?"),),
    params={"model": "m", "max_tokens": 1000},
    role="judge",
)


def charged_for(url: str, *, budget: float = 1.0, timeout: float = 20.0) -> float:
    """Make one attempt that gives no reply; returns what it was charged."""

    async def run() -> float:
        model = Model(api="openai", base_url=url, timeout=timeout, connect_timeout=5)
        counts = Counts()
        llm = OpenAI("m", model)
        purse = Budget(budget, counts)
        nest = Budgeted(llm, model=model, price=PRICE, budget=purse, counts=counts)
        try:
            with pytest.raises(Transient):
                await nest(REQUEST)
            await purse.reserve(budget - counts.spent - 1e-9)  # nothing stays reserved
        finally:
            await llm.aclose()
        return counts.spent

    return asyncio.run(run())


def test_a_connection_that_is_refused_costs_nothing() -> None:
    with ChatServer() as gone:
        url = gone.url
    assert charged_for(url) == 0


@pytest.mark.parametrize("status", [408, 409, 429, 503, 529])
def test_an_attempt_that_is_turned_down_costs_nothing(status: int) -> None:
    with ChatServer(lambda _: (status, {}, {"error": {"message": "not now"}})) as server:
        assert charged_for(server.url) == 0


def test_an_attempt_that_timed_out_stays_charged() -> None:
    with ChatServer(latency=5) as server:
        assert 0.01 < charged_for(server.url, timeout=0.3) < 0.011


@pytest.mark.parametrize("reply", [(200, {}, '{"choices": [{"mess'), (502, {}, "lost"), (504, {}, "lost")])
def test_a_reply_that_was_lost_stays_charged(reply: Reply) -> None:
    with ChatServer(lambda _: reply) as server:
        assert 0.01 < charged_for(server.url) < 0.011


# --- plans ---------------------------------------------------------------------------------------------------


def calls_of(made: Plan) -> dict[str, float]:
    return {step.step: step.calls for step in made.steps}


def test_a_plan_spends_nothing_and_needs_no_key(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=12, api_key_env="NO_SUCH_KEY", **PRICES)
    made = plan(project, out=tmp_path / "out")
    assert server.calls == 0
    assert (made.rows, made.sampled, made.spent) == (12, 0, 0)
    assert (calls_of(made)["caption"], calls_of(made)["distill"]) == (4, 12)
    assert made.low is not None
    assert made.expected is not None
    assert made.high is not None
    assert 0 < made.low < made.expected < made.high


def test_a_plan_says_where_a_price_is_not_known(tmp_path: Path, server: ChatServer) -> None:
    made = plan(sums_project(tmp_path / "p", server.url, count=3), out=tmp_path / "out")
    assert (made.low, made.expected, made.high) == (None, None, None)
    said = StringIO()
    foretell(made, Console(file=said, width=200))
    assert "unknown" in said.getvalue()
    assert "input_price" in said.getvalue()


def test_what_is_answered_costs_nothing_in_a_plan(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=12, **PRICES)
    build(project, out=tmp_path / "out")
    calls = server.calls
    made = plan(project, out=tmp_path / "out")
    assert server.calls == calls
    assert (made.expected, made.low, made.high) == (0, 0, 0)
    assert set(calls_of(made).values()) == {0}
    assert sum(step.cached for step in made.steps) == distinct(server)


def test_a_growing_source_costs_what_is_new(tmp_path: Path, server: ChatServer, till: Till) -> None:
    project = sums_project(tmp_path / "p", server.url, count=36, **PRICES)
    rows = [sum_row(n, image=n // 3) for n in range(36)]
    write_rows(project.root, rows[:12])
    build(project, out=tmp_path / "out")
    write_rows(project.root, rows)
    before, calls = till.charged, server.calls
    made = plan(project, out=tmp_path / "out")
    assert server.calls == calls
    assert (made.rows, made.sampled) == (36, 12)
    assert (calls_of(made)["caption"], made.steps[0].cached) == (8, 4)
    assert calls_of(made)["distill"] == pytest.approx(26)  # 24 rows, and one in twelve is asked for twice
    build(project, out=tmp_path / "out")
    assert made.expected == pytest.approx(till.charged - before, rel=0.02)


def test_a_sample_is_paid_once(tmp_path: Path, server: ChatServer, till: Till) -> None:
    project = sums_project(tmp_path / "p", server.url, count=36, **PRICES)
    made = plan(project, out=tmp_path / "out", sample=9)
    assert 9 <= made.sampled < 36
    assert made.spent == pytest.approx(till.charged)
    result = build(project, out=tmp_path / "out")
    assert server.calls == distinct(server)
    assert made.spent + result.spent == pytest.approx(till.charged)


class Wordy(Till):
    """Writes replies of lognormal length (sigma 0.6), each by its seed and request, and counts 3.5 characters a token."""

    def __init__(self, seed: int) -> None:
        super().__init__(self.measure)
        self.seed = seed

    def measure(self, body: dict[str, Any]) -> tuple[int, int]:
        texts = [part["text"] for part in _parts(body) if part["type"] == "text"]
        read = round(sum(map(len, texts)) / 3.5) + 255 * len(image_urls(body))
        usual = {"eye": 250, "mind": 600, "pen": 300, "ear": 30}[body["model"]]
        rng = random.Random(f"{self.seed} {body['model']} {json.dumps(body['messages'])}")
        return read, round(usual * math.exp(rng.gauss(0, 0.6)))


def foretold_and_charged(folder: Path, seed: int, *, rows: int = 400, sample: int = 50) -> tuple[Plan, float]:
    """Plan with a sample, build, and return what the server charged for both."""
    till = Wordy(seed)
    with ChatServer(till) as server:
        project = sums_project(folder / "p", server.url, count=rows, max_concurrency=32, **PRICES)
        made = plan(project, out=folder / "out", sample=sample)
        assert made.spent == pytest.approx(till.charged)
        build(project, out=folder / "out")
    return made, till.charged


def test_a_plan_with_a_sample_comes_true(tmp_path: Path) -> None:
    made, charged = foretold_and_charged(tmp_path, 1)
    assert made.expected is not None
    assert made.low is not None
    assert made.high is not None
    assert made.spent + made.expected == pytest.approx(charged, rel=0.1)
    assert made.spent + made.low < charged < made.spent + made.high
    assert made.high < made.expected * 1.5
