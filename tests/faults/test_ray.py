"""A Ray cluster that loses a worker and then a node in the middle of a build: what it pays twice, and what it makes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import vlaa_thinking

HERE = Path(__file__).parent
ALONE = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
"""A network and processes of its own: nothing outlives it, and Ray sees no address but the loopback's."""


def alone() -> list[str]:
    """Find out how a process of this user gets a network of its own."""
    for words in (ALONE, [*ALONE[:1], "--map-root-user", *ALONE[1:]]):
        tried = subprocess.run([*words, "ip", "link", "set", "lo", "up"], capture_output=True, check=False)
        if tried.returncode == 0:
            return words
    pytest.skip("Ray is tried in a network of its own, and `unshare` may not make one here")


def test_a_worker_is_killed_and_a_node_dies_and_the_dataset_is_that_of_one_machine(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    command = 'ip link set lo up && exec "$@"'
    paths = [str(Path(vlaa_thinking.__file__).parents[1]), str(HERE.parent), str(HERE)]
    done = subprocess.run(
        [*alone(), "sh", "-c", command, "sh", sys.executable, str(HERE / "ray_cluster.py"), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["same"]
    assert told["in_flight"] > 0
    again = dict(told["repeated_by_shard"])
    assert told["killed"] not in told["dead"]
    assert set(again) <= {told["killed"], *told["dead"]}
    assert again.pop(told["killed"], 0) <= told["at_risk_of_killed"]
    assert sum(again.values()) <= told["at_risk_of_dead"]
    assert told["at_risk_of_dead"] < told["asked_of_dead"]  # else nothing would be shown
    assert all(most <= 6 for most in told["most_at_once"].values())
    assert (told["rows"], told["seen"]) == (48, 48)
    assert told["scratch"] == []
    assert told["left"] == ["disk-1", "net", "p", "set", "set.work", "whole", "whole.work"]
