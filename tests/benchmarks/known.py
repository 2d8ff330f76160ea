"""Build many rows again with every answer known, and measure where the time goes and what grows with the rows.

    python tests/benchmarks/known.py --rows 20000                              a build that makes the answers, and another
    python tests/benchmarks/known.py --rows 200000 --place DIR --only fill     the answers alone; kept in DIR
    python tests/benchmarks/known.py --rows 200000 --place DIR --only again    what is measured
    python tests/benchmarks/known.py --rows 200000 --place DIR --only curate   and `curate` alone, over its spool

Each build has a process of its own. The answers are those of server.py, given in the process: nothing is sent. Every row has its own question and notes, so
four answers; 2,000 small images are shared among them, for here no figure is to depend on an image's size. Near-duplicate
images are likeness.py's subject: these have none. The first pass reads sources and cache; the second pass curates and
writes; at the end, what each file takes. Compare the processor time: on a busy machine the wall time says little.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE)]

from server import READY, ROW  # noqa: E402
from work import make_project, name, png, row  # noqa: E402

from vlaa_thinking import Completion, Project, Request, Run, build  # noqa: E402
from vlaa_thinking.spool import Spool  # noqa: E402
from vlaa_thinking.steps.curate import curate  # noqa: E402

if TYPE_CHECKING:
    from vlaa_thinking import LLM
    from vlaa_thinking.counts import Counts

IMAGES = 2_000
"""Images that the rows share."""

IMAGE_BYTES = 3_000

BODIES = {step: body.partition(b"\r\n\r\n")[2] for (api, step), body in READY.items() if api == "openai"}


class Model:
    """Answers as the benchmarks' server does, at once."""

    identity = "bench"

    async def __call__(self, request: Request, /) -> Completion:
        """Find the row's number in the request, and answer with it."""
        text = request.messages[-1].text
        at = text.index("row ") + 4
        number = text[at : at + len(ROW)]
        return Completion(api="openai", body=BODIES[request.step].replace(ROW.encode(), number.encode()))


class Passes:
    """Notes when the last row has ended its way: what follows is the second pass."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self.began = self._now()
        self.first: tuple[float, float, float] | None = None

    def __call__(self, counts: Counts) -> None:
        """Look; called ten times a second."""
        if self.first is None and counts.rows_ended >= self._rows:
            self.first = self._now()

    def read(self) -> dict[str, dict[str, float]]:
        """Tell seconds, of the clock and of the processor, and peak memory, by pass."""
        assert self.first is not None
        ends = {"first pass": (self.began, self.first), "second pass": (self.first, self._now())}
        return {
            name: {"wall": end[0] - start[0], "cpu": end[1] - start[1], "peak": end[2]}
            for name, (start, end) in ends.items()
        }

    @staticmethod
    def _now() -> tuple[float, float, float]:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 * 1.048576
        return time.monotonic(), time.process_time(), peak


def main() -> int:
    """Run the benchmark; the exit code says whether the second build asked nothing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--place", type=Path, metavar="DIR", help="keep rows, answers and dataset here")
    parser.add_argument("--only", choices=tuple(WAYS))
    parser.add_argument("--first", type=int, default=0, help="with fill: answer no row before this one")
    arguments = parser.parse_args()
    rows: int = arguments.rows
    if rows > 10 ** len(ROW):
        parser.error(f"a row's number has {len(ROW)} digits: at most {10 ** len(ROW):,} rows")
    if arguments.place and arguments.only:
        return WAYS[arguments.only](arguments.place, arguments.first, rows)
    with tempfile.TemporaryDirectory() as home:
        place = arguments.place or Path(home)
        for which in (arguments.only,) if arguments.only else WAYS:
            one = [sys.executable, __file__, "--rows", str(rows), "--place", str(place), "--only", which]
            if code := subprocess.run(one, check=False).returncode:
                return code
    return 0


def fill(place: Path, first: int, rows: int) -> int:
    """Build, so that every answer is known."""
    make(place, first, rows)
    calls = once(place, rows - first, Passes(rows - first))
    print(f"{rows - first:,} rows: {calls:,} answers made", file=sys.stderr, flush=True)
    return 0


def again(place: Path, first: int, rows: int) -> int:
    """Build what was built before, and tell what it took; returns 1 where anything was asked."""
    make(place, first, rows)
    passes = Passes(rows)
    calls = once(place, rows, passes)
    tell(passes, place, rows)
    return int(calls != 0)


def decide(place: Path, _first: int, rows: int) -> int:
    """Curate the rows of the last build's spool as they came from the first pass, and print what that took."""
    with (
        closing(Spool(place / "out.work/spool.sqlite", fresh=False)) as old,
        closing(Spool(place / "curate.sqlite", fresh=True)) as spool,
    ):
        for record, copy in old.collected():
            spool.put(record, copy)
        rule = Project.open(place / "project").settings().curate
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 * 1.048576
        began = time.process_time()
        spool.decide(list(curate(spool.facts({}), rule, seed=0)))
        seconds = time.process_time() - began
        if spool.count("status") != [("kept", rows)]:
            raise SystemExit(f"not every row was kept: {spool.count('status')}")
    (place / "curate.sqlite").unlink()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 * 1.048576
    print(
        f"curate alone: {seconds:.1f} s of processor time, {rows / seconds:,.0f} rows / CPU s, "
        f"{peak - before:,.0f} MB more than before it"
    )
    return 0


WAYS = {"fill": fill, "again": again, "curate": decide}


def make(place: Path, first: int, rows: int) -> None:
    """Write rows, images and a project."""
    images = place / "data/images"
    images.mkdir(parents=True, exist_ok=True)
    for number in range(IMAGES):
        (images / f"{name(number)}.png").write_bytes(png(number, IMAGE_BYTES))
    with (place / "data/rows.jsonl").open("w") as file:
        for number in range(first, rows):
            file.write(json.dumps({**row(number), "image": f"{name(number % IMAGES)}.png"}) + "\n")
    shutil.rmtree(place / "project", ignore_errors=True)
    make_project(place / "project", place / "data", "http://127.0.0.1:9", max_concurrency=64)


def once(place: Path, rows: int, passes: Passes) -> int:
    """Build; returns the calls made."""
    roles: dict[str, LLM] = {role: Model() for role in ("captioner", "reasoner", "rewriter", "judge")}
    run = Run(cache=place / "answers.sqlite", watch=passes)
    result = build(Project.open(place / "project"), out=place / "out", llms=roles, run=run)
    if result.kept != rows:
        raise SystemExit(f"of {rows} rows {result.kept} were kept")
    return result.calls


def tell(passes: Passes, place: Path, rows: int) -> None:
    """Print time by pass, and what lies on disk."""
    print("| pass | seconds | rows/s | CPU s | rows / CPU s | peak MB |\n|---|--:|--:|--:|--:|--:|")
    for which, read in passes.read().items():
        wall, cpu = read["wall"], read["cpu"]
        print(
            f"| {which} | {wall:.1f} | {rows / wall:,.0f} | {cpu:.1f} | {rows / cpu:,.0f} | {read['peak']:,.0f} |"
        )
    sizes = {
        "answers": (place / "answers.sqlite").stat().st_size,
        "spool": sum(file.stat().st_size for file in (place / "out.work").glob("*spool*")),
        "dataset": sum(file.stat().st_size for file in (place / "out").rglob("*.parquet")),
    }
    print("\n| on disk | MB | bytes a row |\n|---|--:|--:|")
    for what, size in sizes.items():
        print(f"| {what} | {size / 1e6:,.0f} | {size / rows:,.0f} |")
    print(f"\nOf a row in the dataset {len(png(0, IMAGE_BYTES)):,} bytes are its image.")


if __name__ == "__main__":
    sys.exit(main())
