"""Measure peers beside this project, raw aiohttp and plain `openai`: each peer in an environment of its own.

    python -m venv PEER && PEER/bin/pip install distilabel[openai]
    python tests/benchmarks/race.py distilabel=PEER/bin/python ...

Peers: curator (bespokelabs-curator), data_designer (data-designer), datatrove (datatrove[inference]), distilabel.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))

from run import CALLS, Bench, Server, available_cores

if TYPE_CHECKING:
    from collections.abc import Callable

OURS = ("project", "aiohttp", "openai")

COLUMNS: dict[str, tuple[str, Callable[[dict[str, Any], argparse.Namespace], float | None]]] = {
    "efficiency": (".2f", lambda r, a: a.rows * CALLS * a.latency / a.in_flight / r["span"]),
    "CPU a call, ms": (".2f", lambda r, a: 1e3 * r["cpu_all"] / (a.rows * CALLS)),
    "peak memory, MB": (".0f", lambda r, _: r["peak_mb"]),
    "first row, s": (".1f", lambda r, _: r["first_done"] - r["first_request"] if r["first_done"] else None),
    "calls": (".0f", lambda r, _: r["calls"]),
    "most in flight": (".0f", lambda r, _: r["most_in_flight"]),
    "rows": (".0f", lambda r, _: r["kept"]),
    "wrong": (".0f", lambda r, _: r["wrong"]),
}


def main() -> None:
    """Let them take turns, print medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("peers", nargs="+", metavar="PEER=PYTHON")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.1, help="seconds")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--place", type=Path, help="a folder for pictures, kept; else a temporary one")
    given = parser.parse_args()
    peers = dict(peer.split("=", 1) for peer in given.peers)
    cores = available_cores()
    with tempfile.TemporaryDirectory(prefix="vlaa-race-") as temporary, Server(cores[0]) as running:
        place: Path = given.place or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        bench = Bench(
            rows=None,
            runs=given.runs,
            clients=(*OURS, *peers),
            api="openai",
            place=place,
            jobs=Path(temporary),
            server=running,
            cores=cores,
            peers=peers,
        )
        got = bench.race(given.rows, given.in_flight, bench.clients, latency=given.latency)
    print("| client | " + " | ".join(COLUMNS) + " |")
    print("|---|" + "--:|" * len(COLUMNS))
    for client, runs in got.items():
        cells = []
        for form, of in COLUMNS.values():
            figures = [figure for run in runs if (figure := of(run, given)) is not None]
            cells.append(format(statistics.median(figures), form) if figures else "")
        print(f"| {client} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
