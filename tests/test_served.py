"""A server that is not ours: `transformers serve` with a tiny model plays every role of a build, and is measured."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import load_dataset
from tiny_model import write

from vlaa_thinking import Project, build

MODELS = """\
default = "served"

[profile.served]
captioner = "tiny"
reasoner = "tiny"
rewriter = "tiny"
judge = "tiny"
sources = ["counting", "boxes"]

[model.tiny]
api = "openai"
base_url = "{url}"
model = "tiny"
input_price = 0
output_price = 0
params = {{ max_tokens = 12 }}
"""
SOURCES = """\
[source.counting]
reader = "demo"
license = "CC0-1.0"
kind = "counting"
count = 6

[source.boxes]
reader = "demo"
license = "CC0-1.0"
kind = "boxes"
count = 4
way = "rl_only"
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a LLaVA of random weights as `transformers serve` does."""
    place = tmp_path_factory.mktemp("served")
    torch.manual_seed(0)
    write(place / "tiny")
    settings = place / "tiny/generation_config.json"
    drawn = json.loads(settings.read_text(encoding="utf-8")) | {
        "do_sample": True
    }  # or it heeds no temperature
    settings.write_text(json.dumps(drawn), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("transformers")), "serve", "tiny"]
    with (place / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
            cwd=place,
            env=os.environ | {"HF_HOME": str(place / "home"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        for _ in range(600):
            assert server.poll() is None, (place / "log").read_text(encoding="utf-8")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(30)


def project(root: Path, url: str) -> Project:
    """Copy the built-in project, and have the server play every role."""
    root.mkdir()
    Project.default().copy(root)
    (root / "generators/models.toml").write_text(MODELS.format(url=url), encoding="utf-8")
    (root / "generators/1_collect.toml").write_text(SOURCES, encoding="utf-8")
    return Project.open(root)


def test_a_build_against_it_ends_and_its_counts_add_up(url: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = build(project(tmp_path / "project", url), out=out)
    first, *_, last = result.funnel.steps
    dropped = [code for step in result.funnel.steps for code in step.dropped]
    assert (first.rows_in, last.rows_out) == (10, 4)
    assert sum(sum(step.dropped.values()) for step in result.funnel.steps) == 6
    assert not any(step.failed for step in result.funnel.steps)
    assert "truncated" in dropped  # random weights seldom end by themselves
    assert result.funnel.splits == {"rl": {"train": 4}}
    rejected = load_dataset(str(out), "rejected", split="train")
    assert len(rejected) == 6
    assert set(rejected["source"]) == {"counting"}

    shutil.rmtree(out)
    again = build(Project.open(tmp_path / "project"), out=out)
    assert again.calls == 0  # what the server said is kept
    assert again.funnel == result.funnel

    report, cut = evaluate(url, out, tmp_path / "replies.jsonl")
    assert report.total.lines == 4
    assert 0 < cut <= 1
    assert len((tmp_path / "replies.jsonl").read_text(encoding="utf-8").splitlines()) == 4


def evaluate(url: str, dataset: Path, out: Path) -> Any:
    """Run recipes/evaluate.py against the server."""
    spec = spec_from_file_location("evaluate_served", Project.default().root / "recipes/evaluate.py")
    assert spec
    assert spec.loader
    script = module_from_spec(spec)
    sys.modules[spec.name] = script
    spec.loader.exec_module(script)
    asked = ["tiny", "--server", url, "--dataset_name", str(dataset), "--split", "train"]
    return script.main([*asked, "--max_new_tokens", "8", "--temperature", "0.8", "--out", str(out)])
