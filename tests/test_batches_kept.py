"""What is sent in batches is neither lost nor paid twice: kills, cut connections, Ctrl-C, and days between two runs."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from batch_server import BATCH, AnthropicBatchServer, Held, OpenAIBatchServer
from sums_project import solve, sums_project, write_models
from test_anthropic import play
from typer.testing import CliRunner

import vlaa_thinking
from vlaa_thinking import Project, Run, build, plan, status
from vlaa_thinking.cli import app
from vlaa_thinking.counts import Counts
from vlaa_thinking.errors import Interrupted, ModelError, SetupError

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


def killed_at_a_batch(project: Project, out: Path, server: Server) -> None:
    """Kill a build, a process of its own, when the server has made its next batch, before the build hears of it."""
    killed = threading.Event()

    def kill(_: Held) -> None:
        process.kill()
        process.wait()
        killed.set()

    server.creating = kill
    environment = {**os.environ, "PYTHONPATH": str(Path(vlaa_thinking.__file__).parents[1])}
    command = [sys.executable, "-m", "vlaa_thinking", "build", str(project.root), "--out", str(out)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        said = process.communicate(timeout=600)[1]
    assert killed.wait(5), said
    server.creating = None
    assert journal(out)[-1]["provider_id"] is None  # all that is known of it is the intention


def interrupted(project: Project, out: Path, server: Server) -> None:
    """Press Ctrl-C once the build knows of its first batch."""
    server.auto = None

    def press(counts: Counts) -> None:
        if not counts.stopping and any(batch.state == "in_progress" for batch in counts.batches.values()):
            signal.raise_signal(signal.SIGINT)

    more = (
        r"run the same command again to go on; its batches \(1\) go on, `vlaa-thinking status OUT` says how"
    )
    with pytest.raises(Interrupted, match=more):
        build(project, out=out, run=Run(watch=press))
    assert len(server.batches) == 1


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
    killed_at_a_batch(project, out, server)
    add_another_s(server, len(server.batches[0].lines))  # as many, at the same time: whose is it?
    killed_at_a_batch(project, out, server)
    assert build(project, out=out).exit_code == 0
    paid_once(server, out)
    assert all(row["provider_id"] for row in journal(out))  # each was found
    assert build(project, out=out).calls == 0


@pytest.mark.parametrize(("api", "mode"), [("openai", "live"), ("anthropic", "batch")])
def test_what_a_batch_may_hold_is_not_asked_for_meanwhile(tmp_path: Path, api: str, mode: str) -> None:
    """Where there are no tags, a batch of this time and count may be the one; not even in live mode is it passed by."""
    with OpenAIBatchServer(solve) if api == "openai" else AnthropicBatchServer(play) as server:
        server.auto = None
        project, out = project_on(tmp_path, server), tmp_path / "out"
        killed_at_a_batch(project, out, server)
        write_models(project.root, server.url, api=api, mode=mode, batch=BATCH["batch"])
        seen: set[str] = set()
        calls = server.settled()

        def look(counts: Counts) -> None:
            seen.update(batch.state for batch in counts.batches.values())
            if {"in_progress", "unconfirmed: 1 of the provider's may be it"} & seen and server.auto is None:
                time.sleep(0.2)
                asked = [body["model"] for body in server.requests[calls:]]
                assert (len(server.batches), asked.count("eye")) == (1, 0)
                server.auto = "ended"
                server.finish()

        assert build(Project.open(project.root), out=out, run=Run(watch=look)).exit_code == 0
        assert server.auto
        assert (len(server.batches) == 1) is (mode == "live")
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


def told(out: Path, *more: str) -> str:
    """Return the last line that `vlaa-thinking status` prints."""
    done = CliRunner().invoke(app, ["status", str(out), *more])
    assert done.exit_code == 0, done.output
    return done.output.splitlines()[-1]


def test_a_build_that_was_stopped_says_how_far_its_batches_are(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "sk-very-secret-0123")
    project, out = project_on(tmp_path, server, api_key_env="A_KEY"), tmp_path / "out"
    interrupted(project, out, server)
    (batch,) = status(out).batches
    assert (batch.id, batch.roles) == (server.batches[0].id, "captioner")
    assert (batch.ended, batch.asked, batch.requests) == (False, True, 11)
    assert told(out).startswith("They go on without this machine, and end within a day")
    with pytest.raises(SetupError, match=r"batches of this build \(1\) are under way: plan without --sample"):
        plan(project, out=out, sample=3)
    server.finish()
    assert told(out) == "Ended: 1 of 1. Run the same build command again to take their answers in."
    assert told(out, "--offline").startswith("They go on without this machine")
    monkeypatch.delenv("A_KEY")
    (batch,) = status(out).batches
    assert (batch.asked, batch.trouble) == (False, "A_KEY is not set")
    monkeypatch.setenv("A_KEY", "sk-very-secret-0123")
    server.auto = "ended"
    assert build(project, out=out).exit_code == 0
    paid_once(server, out)
    assert told(out) == f"No batch is under way. Taken in before: {len(server.batches)}."
    assert b"sk-very-secret" not in (out.with_name("out.work") / "batches.sqlite").read_bytes()


def test_status_of_no_build_is_told(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"there is no build of .*none here"):
        status(tmp_path / "none")


def test_results_that_are_gone_are_asked_for_again(tmp_path: Path, server: Server) -> None:
    project, out = project_on(tmp_path, server), tmp_path / "out"
    interrupted(project, out, server)
    server.finish()
    server.batches[0].archived = True
    server.auto = "ended"
    assert build(project, out=out).exit_code == 0
    assert len(server.charged) - len(set(server.charged)) == len(server.batches[0].lines)


def test_a_batch_that_its_provider_does_not_know_is_told(tmp_path: Path, server: Server) -> None:
    project, out = project_on(tmp_path, server), tmp_path / "out"
    interrupted(project, out, server)
    server.batches.clear()
    with pytest.raises(ModelError, match=r"does not know the batch batch_0.*another account's"):
        build(project, out=out)
    assert status(out).batches  # it is asked again with the next build
