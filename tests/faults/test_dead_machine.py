"""Machines that die with their disks: a shard is gone on with on another one, from what had been carried away to S3."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from chat_server import ChatServer
from kills import Watch
from sums_project import files, sums_project

import vlaa_thinking
from vlaa_thinking import build

SECOND = 1.0
"""Within which an answer is carried away."""


def wait_for(path: Path) -> None:
    give_up = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < give_up
        time.sleep(0.01)


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Run a real S3 server on loopback; gives the environment by which clients find it."""
    pytest.importorskip("s3fs")
    ready = tmp_path / "port"
    script = (
        "import pathlib, sys, time\n"
        "from moto.server import ThreadedMotoServer\n"
        "server = ThreadedMotoServer('127.0.0.1', 0, verbose=False)\n"
        "server.start()\n"
        "part = pathlib.Path(sys.argv[1] + '.part')\n"
        "part.write_text(str(server.get_host_and_port()[1]))\n"
        "part.rename(sys.argv[1])\n"
        "time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(ready)], stderr=subprocess.DEVNULL)
    try:
        wait_for(ready)
        url = f"http://127.0.0.1:{ready.read_text()}"
        environment = {
            "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip
        make = (
            "import boto3, sys; boto3.client('s3', endpoint_url=sys.argv[1]).create_bucket(Bucket='bucket')"
        )
        subprocess.run([sys.executable, "-c", make, url], check=True, env={**os.environ, **environment})
        with urlopen(url) as answer:
            assert answer.status == 200
        yield environment
    finally:
        process.kill()
        process.wait()


def start(environment: dict[str, str], *words: object) -> subprocess.Popen[str]:
    """Run the command in a process of its own."""
    path = str(Path(vlaa_thinking.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-m", "vlaa_thinking", *map(str, words)],
        env={**os.environ, **environment, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_machine_that_dies_takes_calls_in_flight_and_a_second_s_answers_with_it(
    tmp_path: Path, s3: dict[str, str]
) -> None:
    watch = Watch(latency=0.01, close=0.5)
    with ChatServer(watch) as server:
        project = sums_project(tmp_path / "p", server.url, count=12, max_concurrency=1)
        build(project, out=tmp_path / "whole")
        needed = server.calls
        watch.latency = 0.3
        words = ("build", project.root, "--work", "s3://bucket/run", "--shard")
        first = start(s3, *words, "1/1", "--out", tmp_path / "dead/set")
        while server.calls < needed + 3 * needed // 4:
            assert first.poll() is None, first.communicate()[0]
            time.sleep(0.01)
        first.kill()
        moment = time.monotonic()
        first.communicate()
        shutil.rmtree(tmp_path / "dead")  # its disk is gone with it
        server.settled()
        watch.latency = 0.01
        at_risk = sum(ended >= moment - SECOND - watch.close for _, _, ended in watch.calls[needed:])
        asked = server.calls - needed
        assert 0 < at_risk < asked  # else the test shows nothing
        done = start(s3, *words, "1/1", "--out", tmp_path / "alive/set")
        said, _ = done.communicate(timeout=600)
        assert done.returncode == 0, said
        repeated = server.calls - 2 * needed
        assert 0 <= repeated <= at_risk
        said, _ = (
            done := start(s3, "merge", "--work", "s3://bucket/run", "--out", tmp_path / "set")
        ).communicate()
        assert done.returncode == 0, said
    assert files(tmp_path / "set") == files(tmp_path / "whole")
