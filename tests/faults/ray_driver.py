"""Stop the driver of a build on Ray, kill it, and let it run out of money; count what the next one pays twice.

    unshare -n -p -f --kill-child --mount-proc sh -c 'ip link set lo up; exec python tests/faults/ray_driver.py FOLDER'

By hand, as it takes a minute: each of seven drivers starts a Ray of its own. PYTHONPATH=.:tests:tests/faults
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from chat_server import ChatServer
from kills import Watch
from sums_project import files, sums_project

from vlaa_thinking import build

SECOND = 1.0
"""Within which an answer is carried away."""


@dataclass
class Desk:
    """Starts drivers of one build, and counts their calls."""

    here: Path
    server: ChatServer
    watch: Watch
    needed: int = 0
    environment: dict[str, str] = field(default_factory=dict[str, str])

    def start(self, out: str, *more: str) -> subprocess.Popen[str]:
        """Build as a user does, in a process of its own."""
        words = [
            "build",
            "p",
            "--engine",
            "ray",
            "--shards",
            "2",
            "--work",
            f"net-{out}",
            "--out",
            out,
            *more,
        ]
        return subprocess.Popen(
            [sys.executable, "-m", "vlaa_thinking", *words],
            env={**os.environ, **self.environment},
            cwd=self.here,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, out: str, *more: str) -> str:
        """Build to the end; returns whether the bytes are those of one machine."""
        driver = self.start(out, *more)
        said, _ = driver.communicate(timeout=600)
        assert driver.returncode == 0, said
        return "same bytes" if files(self.here / out) == files(self.here / "whole") else "OTHER BYTES"

    def interrupt(self, out: str, how: signal.Signals) -> None:
        """End a driver in the middle, and begin it again."""
        before = self.server.calls
        self.watch.latency = 0.4
        driver = self.start(out)
        while self.server.calls < before + self.needed // 3:
            assert driver.poll() is None, driver.communicate()[0]
            time.sleep(0.01)
        driver.send_signal(how)
        moment = time.monotonic()
        said, _ = driver.communicate(timeout=600)
        self.server.settled()
        time.sleep(3)  # the workers of a killed driver are ended by Ray
        at_risk = sum(e >= moment - SECOND - self.watch.close for _, _, e in self.watch.calls[before:])
        asked = self.server.settled() - before
        self.watch.latency = 0.01
        same = self.finish(out)
        repeated = self.server.calls - before - self.needed
        print(
            f"{how.name}: ended with {driver.returncode} after {asked} calls, {at_risk} of them in flight or of the last "
            f"second or later; {repeated} repeated; {same}"
        )
        print(f"  {said.strip().splitlines()[-1:]}")

    def run_dry(self, out: str) -> None:
        """Build with too small a budget, then with enough."""
        before = self.server.calls
        driver = self.start(out, "--budget", "0.05")
        said, _ = driver.communicate(timeout=600)
        same = self.finish(out, "--budget", "100")
        repeated = self.server.calls - before - self.needed
        print(f"budget: ended with {driver.returncode}; {repeated} repeated; {same}")
        print(f"  {said.strip().splitlines()[-1:]}")


def main(here: Path) -> None:
    """Run all three."""
    watch = Watch(latency=0.01, close=0.3)
    with ChatServer(watch) as server, tempfile.TemporaryDirectory(prefix="ray-") as sockets:
        here.mkdir(parents=True, exist_ok=True)
        project = sums_project(
            here / "p", server.url, count=48, max_concurrency=4, input_price=1.0, output_price=2.0
        )
        build(project, out=here / "whole")
        (here / "tmp").mkdir()
        own = {"TMPDIR": str(here / "tmp"), "RAY_TMPDIR": sockets, "RAY_AUTH_MODE": "disabled"}
        desk = Desk(here, server, watch, server.calls, own)
        desk.interrupt("stopped", signal.SIGINT)
        desk.interrupt("killed", signal.SIGKILL)
        desk.run_dry("poor")
        shutil.rmtree(here / "tmp")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
