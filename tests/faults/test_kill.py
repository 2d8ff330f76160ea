"""`kill -9` in the middle of a build, and what the next one makes of it."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from chat_server import ChatServer
from kills import kill_at_random
from sums_project import files, solve, sums_project

import vlaa_thinking
from vlaa_thinking import Project, build
from vlaa_thinking.errors import SetupError

LIMIT = 3
"""Calls in flight, for each of the four models."""


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(solve, latency=0.03) as chat:
        yield chat


def start(project: Project, out: Path) -> subprocess.Popen[str]:
    """Build as a user does, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(Path(vlaa_thinking.__file__).parents[1])}
    command = [sys.executable, "-m", "vlaa_thinking", "build", str(project.root), "--out", str(out)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def kill_when(process: subprocess.Popen[str], moment: Callable[[], bool]) -> None:
    with process:
        give_up = time.monotonic() + 30
        while not moment():
            assert process.poll() is None, f"it ended before the kill: {process.communicate()[0]}"
            assert time.monotonic() < give_up
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL


def answers(out: Path) -> int:
    """Count the replies that are recorded, as whoever opens the file after the kill."""
    path = out.with_name(f"{out.name}.work") / "answers.sqlite"
    with closing(sqlite3.connect(path)) as db:
        (count,) = db.execute("SELECT COUNT(*) FROM answers").fetchone()
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return int(count)


def test_a_killed_build_is_gone_on_with(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=24, max_concurrency=LIMIT)
    build(project, out=tmp_path / "whole" / "out")
    whole, needed = files(tmp_path / "whole" / "out"), server.calls
    assert needed > 30

    out = tmp_path / "killed" / "out"
    at_start = server.calls
    recorded = lost = 0
    for more in (1, needed // 2, needed // 4):
        goal = server.calls + more

        def reached(goal: int = goal) -> bool:
            return server.calls >= goal

        before = server.calls
        kill_when(start(project, out), reached)
        asked = server.settled() - before
        now = answers(out)
        here = asked - (now - recorded)
        assert 0 <= here <= 4 * LIMIT
        recorded, lost = now, lost + here
        assert not out.exists()
    assert recorded > 0
    before = server.calls
    kill_when(start(project, out), (out.with_name("out.work") / "next").exists)  # all is answered, it writes
    assert server.settled() - before == answers(out) - recorded
    assert answers(out) == needed
    assert not out.exists()

    process = start(project, out)
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert "0 calls made" in said
    assert files(out) == whole
    assert server.calls - at_start == needed + lost
    work = out.with_name("out.work")
    assert not (work / "next").exists()
    left = {path.name.split("-")[0] for path in work.iterdir()}
    assert left <= {"answers.sqlite", "images", "lock", "run.json", "spool.sqlite", "log", "log.jsonl"}, left


def test_what_random_kills_repeat_was_in_flight(tmp_path: Path) -> None:
    """Twenty of them, and how they are drawn: kills.py. A busy machine is given half a second to write a reply down."""
    tally = kill_at_random(tmp_path, kills=3, seed=4, rows=24, latency=0.2, close=0.5)
    assert (tally.kills, tally.excess, tally.different) == (3, [], [])


@pytest.fixture(scope="module")
def swap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, bytes]]]:
    """Leave a folder as a kill between the two renames does: OUT is away, and the new one is not yet there."""
    with ChatServer(solve) as server:
        here = tmp_path_factory.mktemp("swap")
        project = sums_project(here / "p", server.url, count=12)
        out, work = here / "out", here / "out.work"
        build(project, out=out)
        old = shutil.copytree(out, here / "old")
        assert build(project, out=out, seed=1).changed
        new = files(out)
        assert new != files(old)
        out.rename(work / "next")
        shutil.rmtree(work / "previous", ignore_errors=True)
        old.rename(work / "previous")
        yield here, new


def test_a_swap_that_was_cut_short_is_completed(tmp_path: Path, swap: tuple[Path, dict[str, bytes]]) -> None:
    here = shutil.copytree(swap[0], tmp_path / "here")
    result = build(Project.open(here / "p"), out=here / "out", seed=1)
    assert (result.changed, result.calls) == (False, 0)
    assert files(here / "out") == swap[1]
    assert not (here / "out.work" / "next").exists()


def test_a_swap_is_completed_even_by_a_build_that_fails(
    tmp_path: Path, swap: tuple[Path, dict[str, bytes]]
) -> None:
    here = shutil.copytree(swap[0], tmp_path / "here")
    (here / "p" / "rows.jsonl").write_text("")
    with pytest.raises(SetupError):
        build(Project.open(here / "p"), out=here / "out", seed=1)
    assert files(here / "out") == swap[1]


def test_a_folder_that_was_not_finished_is_not_taken(
    tmp_path: Path, swap: tuple[Path, dict[str, bytes]]
) -> None:
    here = shutil.copytree(swap[0], tmp_path / "here")
    (here / "out.work" / "next" / "manifest.json").unlink()  # killed while it wrote
    assert build(Project.open(here / "p"), out=here / "out", seed=1).changed
    assert files(here / "out") == swap[1]


def test_two_builds_do_not_share_a_folder(tmp_path: Path, server: ChatServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=3)
    out = tmp_path / "out"
    server.latency = 1.0
    first = start(project, out)
    try:
        while not server.calls:
            assert first.poll() is None
            time.sleep(0.01)
        with pytest.raises(SetupError, match="another build is writing"):
            build(project, out=out)
    finally:
        first.kill()
        first.communicate()
    server.latency = 0
    assert build(project, out=out).kept == 3  # a killed build leaves no lock
