"""What is sent in batches is neither lost nor paid twice: kills, cut connections, Ctrl-C, and days between two runs."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from batch_server import BATCH, AnthropicBatchServer, Held, OpenAIBatchServer
from sums_project import files, solve, sums_project, write_models
from test_anthropic import play

import vlaa_thinking
from vlaa_thinking import Project, Run, build, plan, status
from vlaa_thinking.counts import Counts
from vlaa_thinking.errors import ModelError, SetupError

Server = OpenAIBatchServer | AnthropicBatchServer


@pytest.fixture(params=["openai", "anthropic"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    made = OpenAIBatchServer(solve) if request.param == "openai" else AnthropicBatchServer(play)
    with made as served:
        yield served


def project_on(folder: Path, server: Server, **treatment: Any) -> Project:
    api = "anthropic" if isinstance(server, AnthropicBatchServer) else "openai"
    return sums_project(folder / "p", server.url, count=12, per_image=1, **{"api": api, **BATCH, **treatment})


def journal(out: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(out.with_name(f"{out.name}.work") / "batches.sqlite")) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute("SELECT * FROM batches ORDER BY rowid")]


def start(project: Project, out: Path) -> subprocess.Popen[str]:
    """Build as a user does, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(Path(vlaa_thinking.__file__).parents[1])}
    command = [sys.executable, "-m", "vlaa_thinking", "build", str(project.root), "--out", str(out)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for(moment: Callable[[], object], process: subprocess.Popen[str]) -> None:
    give_up = time.monotonic() + 60
    while not moment():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < give_up
        time.sleep(0.01)


def killed_at(number: int, project: Project, out: Path, server: Server) -> None:
    """Kill a build when the server has made its batch of this number, and before the build hears of it."""
    made: list[Held] = []

    def kill(held: Held) -> None:
        made.append(held)
        if len(made) == number:
            process.send_signal(signal.SIGKILL)
            process.wait()

    server.creating = kill
    with start(project, out) as process:
        wait_for(lambda: len(made) >= number, process)
        process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    server.creating = None
    assert journal(out)[-1]["provider_id"] is None  # all that is known of it is the intention


def paid_once(server: Server, out: Path) -> None:
    """See that the server worked on no request in two batches, or in one and live; and that none is under way."""
    assert len(set(server.charged)) == len(server.charged)
    live = Counter(json.dumps(body, sort_keys=True) for body in server.requests)
    live.subtract(server.charged)
    assert not set(server.charged) & {body for body, times in live.items() if times}
    assert all(row["ended"] for row in journal(out))


def add_another_s(server: Server, count: int) -> None:
    """Let somebody else send a batch with the same account."""
    lines = []
    for number in range(count):
        said = f"Hello {len(server.batches)}, {number}."
        body = {"model": "ear", "max_tokens": 5, "messages": [{"role": "user", "content": said}]}
        key = "params" if isinstance(server, AnthropicBatchServer) else "body"
        lines.append({"custom_id": f"x{number}", key: body})
    server.add(lines, {})


def test_a_build_killed_between_submission_and_record_pays_nothing_twice(
    tmp_path: Path, server: Server
) -> None:
    project, out = project_on(tmp_path, server), tmp_path / "out"
    killed_at(1, project, out, server)
    add_another_s(server, len(server.batches[0].lines))  # as many, at the same time: whose is it?
    killed_at(1, project, out, server)
    killed_at(1, project, out, server)
    assert build(project, out=out).exit_code == 0
    paid_once(server, out)
    assert all(row["provider_id"] for row in journal(out))  # each was found
    api = "anthropic" if isinstance(server, AnthropicBatchServer) else "openai"
    write_models(project.root, server.url, api=api)
    assert build(Project.open(project.root), out=out).calls == 0
    build(Project.open(project.root), out=tmp_path / "live")
    assert files(out) == files(tmp_path / "live")


def test_what_a_candidate_may_hold_is_not_sent_meanwhile(tmp_path: Path) -> None:
    with AnthropicBatchServer(play) as server:
        server.auto = None
        project, out = project_on(tmp_path, server), tmp_path / "out"
        killed_at(1, project, out, server)
        seen: set[str] = set()

        def look(counts: Counts) -> None:
            seen.update(batch.state for batch in counts.batches.values())
            if server.lists > 6 and server.auto is None:
                assert len(server.batches) == 1
                server.auto = "ended"
                server.finish()

        assert build(project, out=out, run=Run(watch=look)).exit_code == 0
        assert "unconfirmed: 1 of the provider's may be it" in seen
        paid_once(server, out)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_cut_connection_leaves_it_open_whether_a_batch_arrived(
    tmp_path: Path, server: Server, when: Any
) -> None:
    project, out = project_on(tmp_path, server), tmp_path / "out"
    server.broken = [when, when]
    assert build(project, out=out).exit_code == 0
    paid_once(server, out)
    lost = [row for row in journal(out) if row["provider_id"] is None]
    assert [row["state"] for row in lost] == (["never arrived"] * 2 if when == "before" else [])


def test_ctrl_c_leaves_the_batches_where_they_are(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "sk-very-secret-0123")
    server.auto = None
    project, out = project_on(tmp_path, server, api_key_env="A_KEY"), tmp_path / "out"
    with start(project, out) as process:
        wait_for(lambda: server.batches, process)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[0]
        assert time.monotonic() - began < 20
    assert process.returncode == 130, said
    assert (
        "run the same command again to go on; 1 batches go on without it, `vlaa-thinking status OUT`" in said
    )
    (batch,) = status(out).batches
    assert (batch.roles, batch.ended, batch.asked) == ("captioner", False, True)
    assert batch.id == server.batches[0].id
    assert "They go on without this machine" in status(out).next
    with pytest.raises(SetupError, match="1 batches of this build are under way: plan without --sample"):
        plan(project, out=out, sample=3)
    server.finish()
    assert _told(out) == "1 of 1 have ended: run the same build command again to take in their answers."
    assert _told(out, "--offline").endswith(
        "run the same build command again then. A build that runs takes their answers in by itself."
    )
    monkeypatch.delenv("A_KEY")
    (batch,) = status(out).batches
    assert (batch.asked, batch.trouble) == (False, "A_KEY is not set")
    monkeypatch.setenv("A_KEY", "sk-very-secret-0123")
    server.auto = "ended"
    assert build(project, out=out).exit_code == 0
    paid_once(server, out)
    assert status(out).batches == ()
    assert b"sk-very-secret" not in (out.with_name("out.work") / "batches.sqlite").read_bytes()


def _told(out: Path, *more: str) -> str:
    """Return the last line that the command prints."""
    environment = {**os.environ, "PYTHONPATH": str(Path(vlaa_thinking.__file__).parents[1])}
    command = [sys.executable, "-m", "vlaa_thinking", "status", str(out), *more]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()[-1]


def test_a_build_that_goes_on_live_waits_for_what_its_batches_hold(tmp_path: Path, server: Server) -> None:
    server.auto = None
    project, out = project_on(tmp_path, server), tmp_path / "out"
    killed_at(1, project, out, server)
    api = "anthropic" if isinstance(server, AnthropicBatchServer) else "openai"
    write_models(project.root, server.url, api=api, batch=BATCH["batch"])

    def look(counts: Counts) -> None:
        if any(
            batch.state == "in_progress" or "may be it" in batch.state for batch in counts.batches.values()
        ):
            server.finish()

    assert build(Project.open(project.root), out=out, run=Run(watch=look)).exit_code == 0
    assert len(server.batches) == 1
    paid_once(server, out)


def test_results_that_are_gone_are_asked_for_again(tmp_path: Path, server: Server) -> None:
    server.auto = None
    project, out = project_on(tmp_path, server), tmp_path / "out"
    with start(project, out) as process:
        wait_for(lambda: server.batches and journal(out)[0]["provider_id"], process)
        process.kill()
        process.communicate(timeout=30)
    server.finish()
    server.batches[0].archived = True
    server.auto = "ended"
    assert build(project, out=out).exit_code == 0
    held = len(server.batches[0].lines)
    assert len(server.charged) - len(set(server.charged)) == held


def test_a_batch_that_its_provider_does_not_know_is_told(tmp_path: Path, server: Server) -> None:
    server.auto = None
    project, out = project_on(tmp_path, server), tmp_path / "out"
    with start(project, out) as process:
        wait_for(lambda: server.batches and journal(out)[0]["provider_id"], process)
        process.kill()
        process.communicate(timeout=30)
    server.batches.clear()
    with pytest.raises(ModelError, match=r"does not know the batch batch_0.*another account's"):
        build(project, out=out)
