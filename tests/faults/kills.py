"""Kill builds with SIGKILL at random moments, let each be finished, and count at the server what was paid twice.

    PYTHONPATH=.:tests python tests/faults/kills.py --kills 20 --seed 0

Runs follow one another on a folder, each killed at a moment drawn from the time between the first call and the end of a
whole build, until one of them finishes; then comes the next folder. A call was in flight at a kill if its reply was not yet written down: it was
not sent yet, or less than `close` seconds before.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chat_server import ChatServer
from sums_project import files, solve, sums_project

import vlaa_thinking

if TYPE_CHECKING:
    from chat_server import Reply

    from vlaa_thinking import Project


class Watch:
    """Plays all models, each reply after `latency` seconds, and notes when it was under way."""

    def __init__(self, latency: float, close: float) -> None:
        self.latency = latency
        self.close = close
        """Seconds that a reply takes, at most, from here to the file of the answers."""
        self.calls: list[tuple[str, float, float]] = []
        """The request, and when it came and was answered."""
        self._lock = threading.Lock()

    def __call__(self, body: dict[str, Any]) -> Reply:
        began = time.monotonic()
        time.sleep(self.latency)
        said = solve(body)
        with self._lock:
            self.calls.append((json.dumps(body, sort_keys=True), began, time.monotonic()))
        return said

    def in_flight(self, moment: float, since: int) -> int:
        """Count the calls, from number `since` on, that were in flight at a moment."""
        spans = [(began, ended) for _, began, ended in self.calls[since:]]
        return sum(began <= moment + self.close and ended >= moment - self.close for began, ended in spans)


@dataclass
class Tally:
    """What came of the kills."""

    kills: int = 0
    busy: int = 0
    """Kills at which calls were in flight."""
    folders: int = 0
    needed: int = 0
    """Different calls that one folder takes."""
    repeated: int = 0
    """Calls that were made again, over all folders."""
    in_flight: int = 0
    """Calls that were in flight at the kills, summed."""
    excess: list[str] = field(default_factory=list[str])
    """Folders where more calls were repeated than were in flight at their kills."""
    different: list[str] = field(default_factory=list[str])
    """Folders whose bytes are not those of an uninterrupted build."""


def start(project: Project, out: Path) -> subprocess.Popen[bytes]:
    """Build as a user does, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(Path(vlaa_thinking.__file__).parents[1])}
    command = [sys.executable, "-m", "vlaa_thinking", "build", str(project.root), "--out", str(out)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill_at_random(
    here: Path, *, kills: int, seed: int, rows: int, latency: float, close: float = 0.05
) -> Tally:
    """Kill `kills` builds in the folder `here`; each folder is finished at the end."""
    rng, tally, watch = random.Random(seed), Tally(), Watch(latency, close)
    with ChatServer(watch) as server:
        project = sums_project(here / "p", server.url, count=rows, max_concurrency=4)
        began = time.monotonic()
        assert start(project, here / "whole").wait(120) == 0
        lead, takes = watch.calls[0][1] - began, time.monotonic() - began
        whole, tally.needed = files(here / "whole"), server.settled()
        while tally.kills < kills:
            out, before, in_flight = here / f"out-{tally.folders}", server.calls, 0
            tally.folders += 1
            while tally.kills < kills:
                since = len(watch.calls)
                process = start(project, out)
                try:
                    process.wait(rng.uniform(lead, takes))
                    break
                except subprocess.TimeoutExpired:
                    process.kill()
                    moment = time.monotonic()
                    process.wait()
                server.settled()
                tally.kills += 1
                here_and_now = watch.in_flight(moment, since)
                tally.busy += here_and_now > 0
                in_flight += here_and_now
            assert start(project, out).wait(120) == 0
            repeated = server.settled() - before - tally.needed
            tally.repeated += repeated
            tally.in_flight += in_flight
            if repeated > in_flight:
                tally.excess.append(out.name)
            if files(out) != whole:
                tally.different.append(out.name)
    return tally


def main() -> None:
    """Run the kills and print the tally."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds that a reply takes")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally = kill_at_random(
            Path(folder), kills=chosen.kills, seed=chosen.seed, rows=chosen.rows, latency=chosen.latency
        )
    print(
        f"{tally.kills} kills, {tally.busy} of them with calls in flight, over {tally.folders} folders of "
        f"{tally.needed} different calls each: {tally.repeated} calls repeated, {tally.in_flight} in flight at the kills"
    )
    print(
        f"repeated beyond what was in flight: {tally.excess or 'none'}; other bytes: {tally.different or 'none'}"
    )
    sys.exit(bool(tally.excess or tally.different))


if __name__ == "__main__":
    main()
