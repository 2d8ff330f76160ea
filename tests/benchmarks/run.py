"""Measure this project, raw aiohttp (the limit) and the plain `openai` client side by side.

    python tests/benchmarks/run.py                          everything: about an hour
    python tests/benchmarks/run.py speed faults --rows 200 --runs 1

Every figure is the median of `--runs` runs, in which the clients take turns. README.md says how to read them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

HERE = Path(__file__).parent
REPO = HERE.parents[1]
sys.path.insert(0, str(REPO))

import server  # noqa: E402
import work  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

CALLS = len(server.STEPS)
"""A row's dependent calls."""

REST = 6.0
"""Seconds of rest after files were deleted."""

PAINS = {"failing": 0.05, "rate_limited": 0.05, "malformed": 0.01, "truncated": 0.01, "hang": 0.01}
"""The faults under which nothing may be lost, as shares of all attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table."""

    what: str
    figure: str
    project: float | None
    aiohttp: float | None = None
    openai: float | None = None
    goal: str = ""
    met: bool | None = None
    unit: str = ""


@dataclass(slots=True, kw_only=True)
class Bench:
    """What the benchmarks share."""

    rows: int | None
    runs: int
    clients: tuple[str, ...]
    api: str
    place: Path
    """Where the pictures lie."""
    jobs: Path
    """Where the clients work."""
    server: Server
    cores: tuple[int | None, int | None]
    peers: Mapping[str, str] = field(default_factory=dict[str, str])
    """By client of `peers/`: the Python of the environment that it is installed in."""
    lines: list[Line] = field(default_factory=list[Line])
    _folders: Iterator[int] = field(default_factory=lambda: iter(range(10**9)))

    def count(self, wanted: int) -> int:
        """Say how many rows to take where the issue's goal is measured with `wanted`."""
        return wanted if self.rows is None else min(self.rows, wanted)

    def data(self, rows: int, **sizes: int) -> Path:
        """Draw the rows, unless they are there."""
        folder = self.place / ("data-" + "-".join(map(str, (rows, *sizes.values()))))
        if not (folder / "rows.jsonl").exists():
            say(f"drawing {rows} pictures")
            work.make_rows(folder, rows, **sizes)
        return folder

    def job(self, rows: int, in_flight: int, *, timeout: float = 60.0, data: Path | None = None) -> Job:
        """Prepare a project of `rows` rows in a folder of its own, with nothing cached."""
        data = data or self.data(rows)
        folder = self.jobs / f"job-{next(self._folders)}"
        folder.mkdir()
        url = self.server.url + ("/v1" if self.api == "openai" else "")
        work.make_project(
            folder / "project", data, url, api=self.api, max_concurrency=in_flight, timeout=timeout
        )
        return Job(
            bench=self, folder=folder, data=data, rows=rows, in_flight=in_flight, timeout=timeout, url=url
        )

    def race(
        self, rows: int, in_flight: int, clients: Sequence[str], *, timeout: float = 60.0, **behaviour: Any
    ) -> dict[str, list[Any]]:
        """Let the clients take turns over the same work, a run's delays and faults the same ones for all; returns each one's runs."""
        got: dict[str, list[Any]] = {name: [] for name in clients if name in self.clients}
        done: list[Job] = []
        for number in range(self.runs):
            for name, runs in got.items():
                job = self.job(rows, in_flight, timeout=timeout)
                self.server.reset(seed=number, **behaviour)
                figures = job.run(name) | self.server.stats()
                figures["span"] = figures["last_reply"] - figures["first_request"]
                if name == "project":
                    job.check(figures)
                runs.append(figures)
                say(
                    f"{number + 1}/{self.runs} {name}: span {figures['span']:.2f} s, CPU {figures['cpu_all']:.2f} s, "
                    f"{figures['peak_mb']:.0f} MB, faults {figures['faults']}, late {1e3 * figures['late']:.1f} ms"
                )
                done.append(job)
        # Only now, and with a rest: ext4 makes new files slowly for some seconds after many were deleted.
        for job in done:
            job.throw_away()
        time.sleep(REST)
        return got

    def add(self, line: Line) -> None:
        """Take a line into the table."""
        self.lines.append(line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One project and its places."""

    bench: Bench
    folder: Path
    data: Path
    rows: int
    in_flight: int
    timeout: float
    url: str

    def run(self, client: str, **more: Any) -> dict[str, Any]:
        """Run a client in a process of its own; returns its figures."""
        spec = {
            "rows": self.rows,
            "in_flight": self.in_flight,
            "timeout": self.timeout,
            "data": str(self.data),
            "project": str(self.folder / "project"),
            "out": str(self.folder / "out"),
            "url": self.bench.server.url + "/v1",
            "core": self.bench.cores[1],
            **more,
        }
        peer = self.bench.peers.get(client)
        if peer is None:
            command = [sys.executable, str(HERE / "clients.py"), client, json.dumps(spec)]
        else:
            command = [peer, str(HERE / "peers" / f"{client}_client.py"), json.dumps(spec)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=_environment())
        if done.returncode:
            raise SystemExit(f"{client} failed: {done.stdout[-2000:]}")
        figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return figures

    def check(self, figures: dict[str, Any]) -> None:
        """See that every row was kept, and with its own answers; the table says so if not."""
        lost = self.rows - figures["kept"]
        wrong = figures["wrong"] = self.wrong()
        if lost or wrong:
            say(f"of {self.rows} rows {lost} are lost ({figures['failed']} failed), {wrong} are wrong")
            what = f"{self.rows} rows, {self.in_flight} in flight: NOT WHOLE"
            self.bench.add(
                Line(what=what, figure="rows lost or wrong", project=lost + wrong, goal="0", met=False)
            )

    def wrong(self) -> int:
        """Count the rows of the dataset whose texts or picture are not what they must be."""
        found = subprocess.run(
            [sys.executable, str(HERE / "check.py"), str(self.folder / "out"), str(self.data)],
            stdout=subprocess.PIPE, text=True, check=True, env=_environment(),
        )  # fmt: skip
        return int(found.stdout)

    def throw_away(self) -> None:
        """Delete the folder: images and splits take a gigabyte soon."""
        import shutil  # noqa: PLC0415

        shutil.rmtree(self.folder)


class Server:
    """The server's process."""

    def __init__(self, core: int | None) -> None:
        """Name the core to stay on."""
        self._core = core

    def __enter__(self) -> Self:
        """Start it."""
        command = [sys.executable, str(HERE / "server.py"), "--port", "0"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        if self._core is not None:
            os.sched_setaffinity(self._process.pid, {self._core})
        assert self._process.stdout is not None
        port = json.loads(self._process.stdout.readline())["port"]
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(10)

    def reset(self, **behaviour: Any) -> None:
        """Set its behaviour and forget what it saw."""
        self._ask("/reset", json.dumps(behaviour).encode())

    def stats(self) -> dict[str, Any]:
        """Ask what it saw."""
        return self._ask("/stats")

    def _ask(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url + path, body, timeout=30) as response:
            said: dict[str, Any] = json.loads(response.read())
        return said


# --- the benchmarks -------------------------------------------------------------------------------


def speed(bench: Bench) -> None:
    """Efficiency, processor time and memory of all clients at three loads."""
    _speed_at(bench, bench.count(2000), 64, 0.1, 0.95)
    _speed_at(bench, bench.count(8000), 256, 1.0, 0.95)
    _speed_at(bench, bench.count(8000), 256, 0.1, 0.75)


def _speed_at(bench: Bench, count: int, in_flight: int, latency: float, goal: float) -> None:
    got = bench.race(count, in_flight, ("project", "aiohttp", "openai"), latency=latency)
    what = f"{count} rows, {in_flight} in flight, {latency:g} s"

    def efficiency(run: dict[str, Any]) -> float:
        return count * CALLS * latency / in_flight / _span(run)

    def first(run: dict[str, Any]) -> float:
        after: float = run["first_done"] - run["first_request"]
        return after / latency / CALLS

    met = at_least(median(got, "project", efficiency), goal)
    line(bench, what, "efficiency", got, efficiency, f">= {goal}", met)
    met = at_most(median(got, "project", first), 3)
    line(bench, what, "first record done", got, first, "<= 3", met, "ideal record times")
    line(
        bench,
        what,
        "CPU a call, whole process",
        got,
        lambda r: 1e3 * r["cpu_all"] / (count * CALLS),
        unit="ms",
    )
    line(bench, what, "peak memory", got, lambda r: r["peak_mb"], unit="MB")


def lognormal(bench: Bench) -> None:
    """Latency that is drawn anew for each call, half of them within 100 ms."""
    count = bench.count(2000)
    got = bench.race(count, 64, ("project", "aiohttp"), latency=0.1, sigma=1.0)
    mine, raw = median(got, "project", _span), median(got, "aiohttp", _span)
    met = None if mine is None or raw is None else mine <= 1.05 * raw
    line(
        bench, f"{count} rows, 64 in flight, lognormal", "span", got, _span, "<= 1.05 x raw aiohttp", met, "s"
    )


def cpu(bench: Bench) -> None:
    """Processor time a call: the project's whole process against the loop of the `openai` client alone."""
    count = bench.count(2000)
    got = bench.race(count, 64, ("project", "aiohttp", "openai"), latency=0.02)
    calls = count * CALLS
    mine, sdk = (
        median(got, "project", lambda r: r["cpu_all"]),
        median(got, "openai", lambda r: r["cpu"]),
    )
    met = None if mine is None or sdk is None else mine <= 0.5 * sdk
    bench.add(
        Line(
            what=f"{count} rows, 64 in flight",
            figure="CPU a call (project: whole process; others: without imports)",
            project=per(mine, calls),
            aiohttp=per(median(got, "aiohttp", lambda r: r["cpu"]), calls),
            openai=per(sdk, calls),
            goal="<= 0.5 x openai",
            met=met,
            unit="ms",
        )
    )
    line(bench, f"{count} rows, 64 in flight", "CPU a call, without first imports", got,
         lambda r: 1e3 * r["cpu"] / calls, unit="ms")  # fmt: skip


def memory(bench: Bench) -> None:
    """Peak memory of the project at two sizes."""
    small, large = bench.count(2000), 10 * bench.count(2000)
    peaks = []
    for count in (small, large):
        got = bench.race(count, 64, ("project",), latency=0.01)
        peaks.append(statistics.median(r["peak_mb"] for r in got["project"]))
        bench.add(
            Line(what=f"{count} rows", figure="peak memory", project=peaks[-1], goal="< 300",
                 met=peaks[-1] < 300, unit="MB")
        )  # fmt: skip
    growth = peaks[1] / peaks[0]
    bench.add(
        Line(what=f"{small} -> {large} rows", figure="memory grows by", project=growth, goal="<= 1.10",
             met=growth <= 1.1, unit="x")
    )  # fmt: skip


def cached(bench: Bench) -> None:
    """Build again with every answer known: no request, no image decoded, not much above plain writing."""
    count = bench.count(10_000)
    data = bench.data(count, least=50_000, most=50_000)
    job = bench.job(count, 64, data=data)
    bench.server.reset()
    say(f"filling the cache with {count * CALLS} answers")
    job.check(job.run("project"))
    times, floors = [], []
    requests = decoded = 0
    for number in range(bench.runs):
        bench.server.reset()
        again = job.run("project", warm=True, core=None)
        requests += bench.server.stats()["calls"]
        decoded += again["decoded"]
        plain = job.run("writer", core=None)
        times.append(again["wall"])
        floors.append(plain["write"] + plain["read"])
        say(
            f"{number + 1}/{bench.runs} cached: {again['wall']:.2f} s against {plain['write']:.2f} s of writing and "
            f"{plain['read']:.2f} s of reading {plain['answers']} answers; {again['peak_mb']:.0f} MB"
        )
    job.throw_away()
    what = f"{count} rows, all cached"
    ratio = statistics.median(a / b for a, b in zip(times, floors, strict=True))
    bench.add(Line(what=what, figure="build", project=statistics.median(times), unit="s"))
    bench.add(
        Line(what=what, figure="plain writer and cache reads", project=statistics.median(floors), unit="s")
    )
    bench.add(Line(what=what, figure="ratio", project=ratio, goal="<= 3", met=ratio <= 3, unit="x"))
    bench.add(Line(what=what, figure="requests", project=requests, goal="0", met=requests == 0))
    bench.add(Line(what=what, figure="images decoded", project=decoded, goal="0", met=decoded == 0))


def grow(bench: Bench) -> None:
    """What ten more rows cost, and an edited prompt of step 4."""
    job = bench.job(210, 64)
    for what, rows, goal in (("200 rows", 200, 800), ("10 rows more", 210, 40), ("step 4 edited", 200, 200)):
        if what == "step 4 edited":
            prompt = job.folder / "project" / work.PROMPTS["rewrite"]
            prompt.write_text(
                prompt.read_text().replace("Reply with the text alone.", "Reply with the text.")
            )
        bench.server.reset(latency=0.005)
        job.run("project", rows=rows)
        calls = bench.server.stats()["calls"]
        bench.add(Line(what=what, figure="calls", project=calls, goal=str(goal), met=calls == goal))
    job.throw_away()


def faults(bench: Bench) -> None:
    """Errors, cut bodies and hangs: nothing lost, nothing stored wrong."""
    count = bench.count(2000)
    got = bench.race(count, 64, ("project", "openai"), timeout=1.0, latency=0.1, **PAINS)
    _lossless(bench, f"{count} rows, 64 in flight, 13 % faults", got, count, count * CALLS * 0.1 / 64, 1.5)


def cap(bench: Bench) -> None:
    """An endpoint that takes 32 in flight, and a client that is set to 64."""
    count = bench.count(2000)
    got = bench.race(count, 64, ("project", "openai"), latency=0.1, cap=32)
    _lossless(bench, f"{count} rows, 32 of 64 in flight taken", got, count, count * CALLS * 0.1 / 32, 1.2)


def _lossless(
    bench: Bench, what: str, got: dict[str, list[Any]], count: int, ideal: float, most: float
) -> None:
    mine = median(got, "project", lambda r: r["span"] / ideal)
    line(bench, what, "span / ideal", got, lambda r: r["span"] / ideal, f"<= {most}", at_most(mine, most))
    for figure, goal in (("rows lost", 0), ("rows wrong", 0), ("answers paid twice", None)):
        worst = {name: max(_loss(figure, run, count) for run in runs) for name, runs in got.items()}
        bench.add(
            Line(
                what=what,
                figure=figure,
                project=worst.get("project"),
                openai=worst.get("openai"),
                goal="" if goal is None else str(goal),
                met=None if goal is None or "project" not in worst else worst["project"] == goal,
            )
        )


def _loss(figure: str, run: dict[str, Any], rows: int) -> int:
    if figure == "rows lost":
        return rows - int(run["kept"])
    return int(run["wrong" if figure == "rows wrong" else "paid_again"])


BENCHMARKS = {b.__name__: b for b in (speed, lognormal, cpu, memory, cached, grow, faults, cap)}


# --- figures and the table ------------------------------------------------------------------------


def _span(run: dict[str, Any]) -> float:
    span: float = run["span"]
    return span


def median(got: dict[str, list[Any]], client: str, figure: Callable[[dict[str, Any]], float]) -> float | None:
    """Take the median of a client's runs; None: it did not run, or has no such figure."""
    try:
        return statistics.median(figure(run) for run in got[client])
    except (KeyError, TypeError, statistics.StatisticsError):
        return None


def line(
    bench: Bench,
    what: str,
    figure: str,
    got: dict[str, list[Any]],
    of: Callable[[dict[str, Any]], float],
    goal: str = "",
    met: bool | None = None,
    unit: str = "",
) -> None:
    """Add a line of medians."""
    bench.add(
        Line(
            what=what,
            figure=figure,
            project=median(got, "project", of),
            aiohttp=median(got, "aiohttp", of),
            openai=median(got, "openai", of),
            goal=goal,
            met=met,
            unit=unit,
        )
    )


def at_least(value: float | None, goal: float) -> bool | None:
    """Compare, if there is anything to compare."""
    return None if value is None else value >= goal


def at_most(value: float | None, goal: float) -> bool | None:
    """Compare, if there is anything to compare."""
    return None if value is None else value <= goal


def per(seconds: float | None, calls: int) -> float | None:
    """Spread seconds over calls, in milliseconds."""
    return None if seconds is None else 1e3 * seconds / calls


def table(lines: Sequence[Line]) -> str:
    """Write the table in Markdown."""
    rows: list[tuple[str, ...]] = [
        ("work", "figure", "project", "raw aiohttp", "openai", "project / raw", "goal", "met")
    ]
    for x in lines:
        ratio = x.project / x.aiohttp if x.project is not None and x.aiohttp else None
        met = {None: "", True: "yes", False: "**no**"}[x.met]
        unit = f"{x.figure}, {x.unit}" if x.unit else x.figure
        numbers = [_number(v) for v in (x.project, x.aiohttp, x.openai, ratio)]
        rows.append((x.what, unit, *numbers, x.goal, met))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rows.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(r, widths, strict=True)) + " |" for r in rows
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def say(words: str) -> None:
    """Tell how it goes."""
    print(f"[{time.strftime('%H:%M:%S')}] {words}", file=sys.stderr, flush=True)


def _environment() -> dict[str, str]:
    """Take proxies away: everything here is loopback."""
    return {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}


def available_cores() -> tuple[int | None, int | None]:
    """Choose a core for the server and one for the client, where that can be done."""
    if not hasattr(os, "sched_setaffinity"):
        return None, None
    free = sorted(os.sched_getaffinity(0))
    return (free[0], free[1]) if len(free) > 1 else (None, None)


def main() -> None:
    """Read the command line, measure, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("which", nargs="*", help=f"of {', '.join(BENCHMARKS)}; all, if none is named")
    parser.add_argument("--rows", type=int, help="no more than so many rows (memory: ten times as many)")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--clients", default="project,aiohttp,openai")
    parser.add_argument("--api", choices=("openai", "anthropic"), default="openai", help="the project's own")
    parser.add_argument("--place", type=Path, help="a folder for pictures, kept; else a temporary one")
    parser.add_argument("--json", type=Path, help="write the lines here, too")
    given = parser.parse_args()
    for name in given.which:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark {name}")
    cores = available_cores()
    with tempfile.TemporaryDirectory(prefix="vlaa-bench-") as temporary, Server(cores[0]) as running:
        place: Path = given.place or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        bench = Bench(
            rows=given.rows,
            runs=given.runs,
            clients=tuple(given.clients.split(",")),
            api=given.api,
            place=place,
            jobs=Path(temporary),
            server=running,
            cores=cores,
        )
        for name in given.which or BENCHMARKS:
            say(f"== {name}: {BENCHMARKS[name].__doc__}")
            BENCHMARKS[name](bench)
    print(table(bench.lines))
    if given.json:
        lines = [{f: getattr(x, f) for f in Line.__slots__} for x in bench.lines]
        given.json.write_text(json.dumps(lines, indent=2) + "\n")


if __name__ == "__main__":
    main()
