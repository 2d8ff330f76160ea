"""A Ray cluster of two nodes in a network of its own: a worker of one is killed, then the other dies with its disk.

    unshare -n sh -c 'ip link set lo up; exec python tests/faults/ray_cluster.py FOLDER'

It prints one line of JSON. Without `unshare -n` Ray takes the machine's own address for the loopback's, and hangs.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

SOCKETS = tempfile.mkdtemp(prefix="ray-")  # its paths must be short
os.environ |= {
    "RAY_TMPDIR": SOCKETS,
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "3",
}

import psutil  # noqa: E402
import ray  # noqa: E402 - Ray reads its environment when it is imported
from chat_server import ChatServer  # noqa: E402
from kills import Watch  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402
from sums_project import ROLES, files, image_urls, picture, said_to, sums_project  # noqa: E402

from vlaa_thinking import Run, Shard, build  # noqa: E402
from vlaa_thinking.shards.cluster import build_on_ray  # noqa: E402

if TYPE_CHECKING:
    from vlaa_thinking.counts import Counts

SHARDS = 4
SECOND = 1.0
"""Within which an answer is carried away."""
ROWS = 48
CLOSE = 0.5
"""Seconds that a reply takes, at most, from the server to a worker's file, on a busy machine."""

LIMIT = 6
"""Calls in flight of one model, over the whole cluster."""


def shard_of(body: dict[str, Any]) -> int:
    """Say to which shard a call belongs."""
    if body["model"] == "eye":
        image = base64.b64decode(image_urls(body)[0].partition(",")[2])
    else:
        found = re.search(r"What is (\d+) plus|(\d+) and \d+ make", said_to(body))
        assert found, body
        image = picture(int(found[1] or found[2]) // 3)
    digest = hashlib.sha256(image).digest()
    return next(n for n in range(1, SHARDS + 1) if Shard(number=n, count=SHARDS).holds(digest))


def most_at_once(calls: list[tuple[str, float, float]]) -> dict[str, int]:
    """Say of each model how many of its calls were under way at once."""
    most: dict[str, int] = {}
    for model in ROLES.values():
        mine = [(began, ended) for body, began, ended in calls if json.loads(body)["model"] == model]
        edges = sorted([(began, 1) for began, _ in mine] + [(ended, -1) for _, ended in mine])
        most[model] = max(accumulate(step for _, step in edges), default=0)
    return most


def worker_on(disk: Path) -> tuple[int, int]:
    """Find a worker that builds a shard on the node with this disk: its process, and the shard."""
    for process in psutil.process_iter(["pid", "cmdline", "environ"]):
        info = process.info
        if (info["environ"] or {}).get("TMPDIR") == str(disk) and (info["cmdline"] or [""])[0] == "ray::work":
            for file in process.open_files():
                found = re.search(r"/set\.shard-(\d+)-of", file.path)
                if found:
                    return info["pid"], int(found[1])
    raise AssertionError(f"no worker on {disk}")


def lost(calls: list[tuple[int, float, float]], moment: float, before: float) -> int:
    """Count the calls that were in flight at a moment, or answered so many seconds before."""
    return sum(began <= moment + CLOSE and ended >= moment - before for _, began, ended in calls)


def start_cluster(disks: list[Path]) -> tuple[Cluster, Any]:
    """Start two nodes, each with a disk of its own, and join them; returns the second, too."""
    ordinary: dict[str, Any] = {
        "num_cpus": 2,
        "object_store_memory": 80_000_000,
        "include_dashboard": False,
    }
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            **ordinary,
            "node_ip_address": "127.0.0.1",
            "env_vars": {"TMPDIR": str(disks[0])},
        },
    )
    second = cluster.add_node(**ordinary, node_ip_address="127.0.0.1", env_vars={"TMPDIR": str(disks[1])})
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    return cluster, second


def main(here: Path) -> dict[str, Any]:
    """Build locally, then on the cluster, and kill a worker and a node there; returns what came of it."""
    watch = Watch(latency=0.01, close=CLOSE)
    with ChatServer(watch) as server:
        project = sums_project(here / "p", server.url, count=ROWS, max_concurrency=LIMIT)
        build(project, out=here / "whole")
        needed = server.calls
        watch.latency, server.max_in_flight = 0.4, 0
        disks = [here / "disk-1", here / "disk-2"]
        for disk in disks:
            disk.mkdir()
        began = time.monotonic()
        cluster, second = start_cluster(disks)
        ready = time.monotonic() - began
        found: dict[str, Any] = {}

        def kill() -> None:
            wait_for(needed + needed // 4, disks[0])
            pid, found["killed"] = worker_on(disks[0])
            os.kill(pid, signal.SIGKILL)
            found["worker"] = time.monotonic()
            wait_for(needed + needed // 2, disks[1])
            found["dead"] = sorted(p.name for p in disks[1].glob("*/set.shard-*"))
            cluster.remove_node(second, allow_graceful=False)
            found["node"] = time.monotonic()
            found["in_flight"] = server.in_flight
            shutil.rmtree(disks[1], ignore_errors=True)

        def wait_for(calls: int, disk: Path) -> None:
            while server.calls < calls or not list(disk.glob("*/set.shard-*")):
                time.sleep(0.01)

        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        seen: list[int] = []

        def look(counts: Counts) -> None:
            seen.append(counts.rows_ended)

        began = time.monotonic()
        run = Run(work=str(here / "net"), watch=look)
        made = build_on_ray(project, out=here / "set", shards=SHARDS, run=run)
        took = time.monotonic() - began
        killer.join()
        dead = {int(name.split("-")[1]) for name in found["dead"]}
        calls = [(shard_of(json.loads(body)), began, ended) for body, began, ended in watch.calls[needed:]]
        of_killed = lost([c for c in calls if c[0] == found["killed"]], found["worker"], watch.close)
        of_dead = lost([c for c in calls if c[0] in dead], found["node"], SECOND + watch.close)
        bodies = [body for body, _, _ in watch.calls[needed:]]
        again = Counter(
            shard_of(json.loads(body)) for body in set(bodies) for _ in range(bodies.count(body) - 1)
        )
        result = {
            "needed": needed,
            "repeated": server.settled() - 2 * needed,
            "repeated_by_shard": sorted(again.items()),
            "killed": found["killed"],
            "at_risk_of_killed": of_killed,
            "at_risk_of_dead": of_dead,
            "asked_of_dead": sum(began <= found["node"] for shard, began, _ in calls if shard in dead),
            "in_flight": found["in_flight"],
            "dead": sorted(dead),
            "most_at_once": most_at_once(watch.calls[needed:]),
            "same": files(here / "set") == files(here / "whole"),
            "left": sorted(p.name for p in here.iterdir()),
            "scratch": [p.name for p in disks[0].glob("*/*")],
            "rows": made.funnel.rows,
            "seen": max(seen),
            "ready": round(ready, 1),
            "took": round(took, 1),
        }
        ray.shutdown()
        cluster.shutdown()  # type: ignore[no-untyped-call,unused-ignore]
        shutil.rmtree(SOCKETS, ignore_errors=True)
        return result


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]).resolve())))
