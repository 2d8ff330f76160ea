"""`--budget` at its edges: Ctrl-C, models without a limit on their replies, several models, faults and retries."""

import json
import math
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Reply
from messages_server import MessagesServer
from sums_project import sums_project
from test_anthropic import play
from test_money import PRICE, PRICES, Till, as_much_as_may_be, distinct, plainly

from vlaa_thinking import Run, build
from vlaa_thinking.errors import BudgetReached, SetupError


@pytest.fixture
def till() -> Till:
    return Till(plainly)


@pytest.fixture
def server(till: Till) -> Iterator[ChatServer]:
    with ChatServer(till) as chat:
        yield chat


# --- what it needs to know -----------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_budget_needs_a_limit_on_every_reply(tmp_path: Path, server: ChatServer, field: str) -> None:
    """Where a reply may be of any length, no reservation would be enough."""
    project = sums_project(
        tmp_path / "p", server.url, count=1, omit=["max_tokens"], max_tokens_field=field, **PRICES
    )
    words = (
        'a budget needs a limit on every reply, and the model "eye" is sent none in the step caption: '
        f"set {field} in [model.eye.params] of generators/models.toml"
    )
    with pytest.raises(SetupError, match=re.escape(words)):
        build(project, out=tmp_path / "out", run=Run(budget=5))
    assert server.calls == 0
    assert build(project, out=tmp_path / "out").kept == 1  # without a budget it may be


def test_a_limit_of_the_model_s_own_is_one(tmp_path: Path, server: ChatServer, till: Till) -> None:
    till.count = lambda body: (20, body["max_completion_tokens"])
    limit: dict[str, Any] = {
        "max_tokens_field": "max_completion_tokens",
        "params": {"max_completion_tokens": 60},
    }
    project = sums_project(tmp_path / "p", server.url, count=30, omit=["max_tokens"], **limit, **PRICES)
    with pytest.raises(BudgetReached):
        build(project, out=tmp_path / "out", run=Run(budget=0.02))
    assert 0.01 < till.charged <= 0.02


def test_what_costs_nothing_needs_no_limit(tmp_path: Path, server: ChatServer) -> None:
    free: dict[str, Any] = {"input_price": 0.0, "output_price": 0.0}
    project = sums_project(tmp_path / "p", server.url, count=3, omit=["max_tokens"], **free)
    assert build(project, out=tmp_path / "out", run=Run(budget=0)).kept == 3


@pytest.mark.parametrize("amount", [-1.0, math.nan, -math.inf])
def test_a_budget_is_an_amount(tmp_path: Path, server: ChatServer, amount: float) -> None:
    project = sums_project(tmp_path / "p", server.url, count=1, **PRICES)
    with pytest.raises(SetupError, match=r"a budget is US dollars from 0 on, not (-1|nan|-inf)"):
        build(project, out=tmp_path / "out", run=Run(budget=amount))
    assert server.calls == 0


def test_no_budget_is_needed_for_what_is_answered(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=12, **PRICES)
    first = build(project, out=tmp_path / "out")
    again = build(project, out=tmp_path / "out", run=Run(budget=0))
    assert (again.calls, again.funnel, again.exit_code) == (0, first.funnel, 0)


# --- never passed --------------------------------------------------------------------------------------------


class Unreliable(Till):
    """Charges for what it worked on, and loses a share of that on the way back; turns another share away for free."""

    def __init__(self, seed: int) -> None:
        super().__init__(as_much_as_may_be)
        self._random = random.Random(seed)

    def __call__(self, body: dict[str, Any]) -> Reply:
        with self._lock:
            luck = self._random.random()
        if luck < 0.1:
            return 429, {"Retry-After": "0.01"}, {"error": {"message": "slow down"}}
        said = super().__call__(body)
        if luck < 0.25:
            return 502, {}, "lost"  # it was written, and so it was charged
        return (200, {}, '{"choices": [{"mess') if luck < 0.4 else said


@pytest.mark.parametrize("seed", range(3))
def test_replies_that_were_lost_count_against_the_budget(tmp_path: Path, seed: int) -> None:
    till = Unreliable(seed)
    with ChatServer(till) as server:
        project = sums_project(
            tmp_path / "p", server.url, count=30, params={"max_tokens": 50}, **PRICES | {"tries": 5}
        )
        with pytest.raises(BudgetReached):
            build(project, out=tmp_path / "out", run=Run(budget=0.06))
        assert 0.05 < till.charged <= 0.06


def test_anthropic_s_schema_and_thinking_are_reserved_for(tmp_path: Path) -> None:
    """The schema is read as part of the prompt, and thinking written as part of the reply."""
    charged = 0.0
    lock = threading.Lock()

    def reply(body: dict[str, Any]) -> Reply:
        nonlocal charged
        said = play(body)
        assert not isinstance(said, tuple)
        message = {"content": said} if isinstance(said, str) else said
        texts = [
            body["system"],
            *(part.get("text", "") for turn in body["messages"] for part in turn["content"]),
        ]
        schema = json.dumps(body.get("output_config", ""))
        read = sum(len(text.encode()) for text in texts) + len(schema) + 1400 * (body["model"] == "eye")
        with lock:
            charged += PRICE.of(read, body["max_tokens"])
        return message | {"usage": {"input_tokens": read, "output_tokens": body["max_tokens"]}}

    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 1100}
    with MessagesServer(reply) as server:
        project = sums_project(
            tmp_path / "p",
            server.url,
            count=24,
            api="anthropic",
            omit=["temperature"],
            params=thinking,
            **PRICES,
        )
        with pytest.raises(BudgetReached):
            build(project, out=tmp_path / "out", run=Run(budget=0.3))
    assert 0.25 < charged <= 0.3


# --- Ctrl-C --------------------------------------------------------------------------------------------------


class Held(Till):
    """Keeps the reasoner's replies back from its second on, until they are released."""

    def __init__(self) -> None:
        super().__init__(plainly)
        self.released = threading.Event()
        self.held = 0
        self._minds = 0

    def __call__(self, body: dict[str, Any]) -> Reply:
        with self._lock:
            self._minds += body["model"] == "mind"
            hold = body["model"] == "mind" and self._minds > 1
            self.held += hold
        if hold:
            self.released.wait(60)
        return super().__call__(body)


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "this did not come about"
        time.sleep(0.01)


def test_calls_that_wait_for_the_budget_are_not_made_after_ctrl_c(tmp_path: Path) -> None:
    """The budget has room for two of the reasoner's calls at a time; others wait for what they will leave."""
    till = Held()
    with ChatServer(till) as server:
        out = tmp_path / "out"
        project = sums_project(tmp_path / "p", server.url, count=24, params={"max_tokens": 4000}, **PRICES)
        command = [sys.executable, "-m", "vlaa_thinking", "build", str(project.root), "--out", str(out)]
        process = subprocess.Popen(
            [*command, "--budget", "0.12"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            until(lambda: till.held > 0)
            calls = server.settled(in_flight=True)
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)  # it is heard now, in any case
            assert process.poll() is None
            till.released.set()
            _, said = process.communicate(timeout=600)
        finally:
            till.released.set()
            process.kill()
            process.communicate()
        assert 1 <= till.held < 8  # of the reasoner's slots, most are taken by calls that wait
        assert process.returncode == 130, said
        assert "Traceback" not in said
        assert server.calls == calls  # nobody was let in by what came back
        assert till.charged <= 0.12
        assert build(project, out=out).funnel.failed == 0
        assert server.calls == distinct(server)
