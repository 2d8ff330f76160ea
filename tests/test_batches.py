"""Builds whose calls go in batches: the same rows, at half the price, and nothing paid twice."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from batch_server import AnthropicBatchServer, OpenAIBatchServer
from sums_project import files, solve, sums_project, write_models

from vlaa_thinking import Project, build

BATCH: dict[str, Any] = {"mode": "batch", "batch": {"age": 0.2, "every": 0.05}}

PRICES: dict[str, Any] = {"input_price": 2.0, "output_price": 10.0}


@pytest.fixture
def server() -> Iterator[OpenAIBatchServer]:
    with OpenAIBatchServer(solve) as served:
        yield served


def journal(out: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(out.with_name(f"{out.name}.work") / "batches.sqlite")) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute("SELECT * FROM batches ORDER BY rowid")]


def bodies(server: OpenAIBatchServer | AnthropicBatchServer) -> list[str]:
    return [json.dumps(body, sort_keys=True) for body in server.requests]


def test_a_build_in_batches_gives_the_rows_of_a_live_one(tmp_path: Path, server: OpenAIBatchServer) -> None:
    project = sums_project(tmp_path / "p", server.url, count=24, **PRICES)
    live = build(project, out=tmp_path / "live")
    asked = sorted(bodies(server))
    write_models(project.root, server.url, **BATCH, **PRICES)
    batched = build(Project.open(project.root), out=tmp_path / "batched")
    assert sorted(bodies(server)[len(asked) :]) == asked
    assert batched.calls == live.calls
    assert len(server.batches) >= 4
    assert len(server.charged) == len(asked) - 4  # the first call of each step went live
    assert live.spent * 0.5 < batched.spent < live.spent * 0.7
    batched_files = files(tmp_path / "batched")
    assert {n for n, b in files(tmp_path / "live").items() if batched_files[n] != b} <= {
        "manifest.json", "README.md", "croissant.json", "CHANGELOG.md",
    }  # fmt: skip
    # A rebuild cannot tell how an answer came.
    write_models(project.root, server.url, **PRICES)
    build(Project.open(project.root), out=tmp_path / "batched")
    assert files(tmp_path / "batched") == files(tmp_path / "live")
    assert all(row["ended"] and row["state"] == "completed" for row in journal(tmp_path / "batched"))
