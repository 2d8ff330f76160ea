"""Ctrl-C: what is under way is waited for and kept, nothing new is begun, and the next run goes on from there."""

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, Reply
from sums_project import files, picture, solve, sum_row, sums_project, write_rows

from vlaa_thinking import Project, build

PATIENCE = 60.0
"""Seconds after which a test gives up on what should take one or two."""

GO_ON = "every answer so far is kept: run the same command again"


class Held:
    """Plays all models, and keeps the reasoner's replies back from its third call on, until they are released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.held = 0
        self._minds = 0
        self._lock = threading.Lock()

    def __call__(self, body: dict[str, Any]) -> Reply:
        with self._lock:
            self._minds += body["model"] == "mind"
            hold = body["model"] == "mind" and self._minds > 2 and not self.released.is_set()
            self.held += hold
        if hold:
            self.released.wait(PATIENCE)
        return solve(body)


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "this did not come about"
        time.sleep(0.002)


def until_quiet(server: ChatServer, held: Held, *, count: int) -> int:
    """Wait until `count` replies are held back and nothing else is asked; returns the calls so far."""
    until(lambda: held.held == count)
    calls, since = server.calls, time.monotonic()
    while time.monotonic() - since < 0.4:
        if server.calls != calls:
            calls, since = server.calls, time.monotonic()
        time.sleep(0.01)
    return calls


@contextmanager
def building(project: Project, out: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "vlaa_thinking", "build", str(project.root), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], *, within: float = PATIENCE) -> tuple[int, str]:
    _, said = process.communicate(timeout=within)
    return process.returncode, said


def distinct(server: ChatServer) -> int:
    return len({json.dumps(body, sort_keys=True) for body in server.requests})


def stored(out: Path) -> int:
    """Count the answers in the cache, which must be sound."""
    with closing(sqlite3.connect(out.with_name(f"{out.name}.work") / "answers.sqlite")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(db.execute("SELECT COUNT(*) FROM answers").fetchone()[0])


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
def server(held: Held) -> Iterator[ChatServer]:
    with ChatServer(held) as chat:
        yield chat
        held.released.set()


def test_the_first_ctrl_c_waits_for_replies_under_way_and_the_next_run_goes_on(
    tmp_path: Path, server: ChatServer, held: Held
) -> None:
    project, out = sums_project(tmp_path / "p", server.url, count=24, max_concurrency=4), tmp_path / "out"
    with building(project, out) as process:
        calls = until_quiet(server, held, count=4)
        process.send_signal(signal.SIGINT)
        time.sleep(1)  # it is heard now, in any case
        assert process.poll() is None
        held.released.set()
        code, said = ended(process, within=9)
    assert (code, GO_ON in said) == (130, True), said
    assert "Traceback" not in said
    assert server.calls == calls  # nothing new was asked
    assert stored(out) == calls  # and what was asked is written down
    assert not out.exists()
    result = build(project, out=out)
    assert (result.exit_code, result.funnel.rows, result.funnel.failed) == (0, 24, 0)
    assert server.calls == distinct(server) > calls  # no call was made twice


def test_the_second_ctrl_c_ends_at_once(tmp_path: Path, server: ChatServer, held: Held) -> None:
    project, out = sums_project(tmp_path / "p", server.url, count=24, max_concurrency=4), tmp_path / "out"
    with building(project, out) as process:
        calls = until_quiet(server, held, count=4)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        code, said = ended(process, within=8)  # replies under way would be waited for longer
    assert (code, GO_ON in said) == (130, True), said
    assert "Traceback" not in said
    assert stored(out) == calls - 4
    held.released.set()
    result = build(project, out=out)
    assert (result.exit_code, result.funnel.rows, result.funnel.failed) == (0, 24, 0)
    assert server.calls == distinct(server) + 4  # those four alone are paid again


def test_a_wait_for_a_busy_server_can_be_stopped(tmp_path: Path, server: ChatServer, held: Held) -> None:
    def busy(body: dict[str, Any]) -> Reply:
        return (429, {"Retry-After": "300"}, {"error": {"message": "busy"}}) if asked else solve(body)

    held.released.set()
    asked: list[bool] = []
    project, out = sums_project(tmp_path / "p", server.url, count=6), tmp_path / "out"
    build(project, out=out)
    before = files(out)
    asked.append(True)
    server.reply = busy
    write_rows(project.root, [sum_row(n, image=0) for n in range(20)])
    calls = server.calls
    with building(project, out) as process:
        until(lambda: server.calls > calls)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        code, said = ended(process, within=9)
    assert (code, GO_ON in said) == (130, True), said
    assert files(out) == before


def test_ctrl_c_while_the_dataset_is_written_leaves_the_old_one(
    tmp_path: Path, server: ChatServer, held: Held
) -> None:
    held.released.set()
    project, out = sums_project(tmp_path / "p", server.url, count=6), tmp_path / "out"
    build(project, out=out)
    before = files(out)
    (project.root / "images/0.png").write_bytes(picture(1, size=(1200, 1200)))
    rows = [sum_row(12 * n, image=0) for n in range(400)]
    write_rows(project.root, rows)
    unfinished = out.with_name("out.work") / "next"
    with building(project, out) as process:
        until(unfinished.exists)
        process.send_signal(signal.SIGINT)
        code, said = ended(process, within=20)
    assert (code, GO_ON in said) == (130, True), said
    assert files(out) == before
    assert not (unfinished / "manifest.json").exists()
    result = build(project, out=out)
    assert (result.exit_code, result.kept, result.calls) == (0, 400, 0)
