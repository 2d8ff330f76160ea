"""A call in flight is an open file: a build sees to it that there are enough, or says that there are not."""

import subprocess
import sys
from pathlib import Path

from chat_server import ChatServer
from sums_project import rows_of, solve, sums_project

FILES = 100
CALLS = 160


def build_with(limit: str, folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    """Build as many rows as calls may be in flight, in a process that may open fewer files."""
    sums_project(folder / "project", url, count=CALLS, per_image=1, max_concurrency=CALLS)
    build = f"exec {sys.executable} -m vlaa_thinking build {folder}/project --out {folder}/out"
    return subprocess.run(
        ["sh", "-c", f"ulimit {limit} {FILES}; {build}"], capture_output=True, text=True, check=False
    )


def test_a_build_may_have_more_calls_in_flight_than_files_at_first(tmp_path: Path) -> None:
    with ChatServer(solve, latency=1.0) as server:
        done = build_with("-S -n", tmp_path, server.url)
        assert done.returncode == 0, done.stderr
        assert server.max_in_flight > FILES
    assert sum(map(len, rows_of(tmp_path / "out").values())) == CALLS


def test_a_system_that_grants_too_few_files_is_told_of_before_any_call(tmp_path: Path) -> None:
    with ChatServer(solve) as server:
        done = build_with("-n", tmp_path, server.url)
        assert server.calls == 0
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: generators/models.toml allows 640 calls in flight, which with 128 other files are more than the 100 that "
        "this process may open: lower max_concurrency there, or raise the limit (ulimit -n 768)\n"
    )
