"""What 200,000 and 10,000,000 rows take: time, calls, money, disk, memory, and what is reached first.

    python tests/benchmarks/scale.py                      two minutes; the second size is worked out, not simulated
    python tests/benchmarks/scale.py --rows 20000         a small try
    python tests/benchmarks/scale.py --image-bytes 300000 --workers 32 --upload 10e6

Calls are simulated: the project's own limiter in front of providers whose limits and speeds are parameters
(providers.py), on a clock that jumps (simulation.py). What was measured on one machine (`MEASURED`) is multiplied by the
rows. Prices are those that `plan` uses. The tables are Markdown.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent), str(HERE)]

from providers import CASTS, DAY, HOUR, LOAD, STEPS, TURNAROUND  # noqa: E402
from simulation import batched, cost_of, live  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from providers import Endpoint, Load

LARGE = 10_000_000
"""Rows of the second size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one machine was found to do; the README says when, where and by which command."""

    collect: float
    """Rows a second, images checked and stored (collect.py, Parquet)."""
    call: float
    """Seconds of processor time of a call, all that goes with its row included (run.py cpu)."""
    known: float
    """Rows a second of processor time of the first pass with every answer known (known.py)."""
    curate: float
    """Rows a second of processor time, without near-duplicates (known.py)."""
    write: float
    """Rows a second of processor time (known.py: the second pass without `curate`)."""
    proposals: tuple[int, float]
    """So many fingerprints took so many seconds of processor time (likeness.py)."""
    answers: float
    """Bytes of an answer in the cache (known.py)."""
    spool: float
    row: float
    """Bytes of a row in the spool, and in the dataset without its image (known.py)."""
    first_pass: tuple[float, float]
    second_pass: tuple[float, float]
    """Bytes of memory: what a build takes at the peak of a pass, and what each row adds (known.py at two sizes)."""


MEASURED = Measured(
    collect=1164, call=1.3e-3, known=664, curate=22_144, write=5_222, proposals=(200_000, 287.0), answers=1747,
    spool=4191, row=713, first_pass=(67e6, 822), second_pass=(240e6, 1678),
)  # fmt: skip


def shares(cast: Mapping[str, Endpoint], load: Load) -> list[tuple[Endpoint, Load]]:
    """Give each model of a cast with the steps that it plays."""
    models = {endpoint.name: endpoint for endpoint in cast.values()}
    return [(model, {step: load[step] for step in STEPS if cast[step] == model}) for model in models.values()]


def worked_out(rows: int, cast: Mapping[str, Endpoint], load: Load) -> tuple[float, str]:
    """Return the seconds that the tightest limit alone takes, and its name.

    A model answers at most min(rpm / 60, tpm / 60 / tokens a call, in flight / seconds a call) calls a second; the rows
    take as long as the model with the most calls for that. The last rows' way through the steps is left out.
    """
    found = []
    for model, share in shares(cast, load):
        calls = rows * sum(asked.calls for asked in share.values())
        found += [(calls / rate, f"{model.name}: {what}") for what, rate in model.limits(share)]
    return max(found)


def machine(rows: int, workers: int, m: Measured) -> dict[str, tuple[str, float]]:
    """Return by part of the work its formula and its seconds of one core, where so many shards share what can be shared."""
    calls = sum(asked.calls for asked in LOAD.values())
    known, took = m.proposals
    return {
        "collect": (f"rows / {m.collect:,.0f}", rows / m.collect / workers),
        "make the calls": (f"rows x {calls:.1f} x {1e3 * m.call:.2f} ms", rows * calls * m.call / workers),
        "near-duplicates proposed": (f"{took:,.0f} s x (rows / {known:,})^2", took * (rows / known) ** 2),
        "curate": (f"rows / {m.curate:,.0f}", rows / m.curate),
        "write": (f"rows / {m.write:,.0f}", rows / m.write),
        "again, all answers known": (f"rows / {m.known:,.0f}", rows / m.known / workers),
    }


def memory(rows: int, workers: int, m: Measured) -> dict[str, tuple[str, float]]:
    """Return by pass its formula and its bytes at the peak."""
    (first, each), (second, every) = m.first_pass, m.second_pass
    return {
        "worker, first pass": (
            f"{first / 1e6:,.0f} MB + rows / shards x {each:,.0f} B",
            first + rows / workers * each,
        ),
        "driver, second pass": (f"{second / 1e6:,.0f} MB + rows x {every:,.0f} B", second + rows * every),
    }


def disk(rows: int, image_bytes: int, m: Measured) -> dict[str, tuple[str, float]]:
    """Return by what lies there its formula and its bytes."""
    calls = sum(asked.calls for asked in LOAD.values())
    return {
        "answers": (f"rows x {calls:.1f} x {m.answers:,.0f} B", rows * calls * m.answers),
        "spool": (f"rows x {m.spool:,.0f} B", rows * m.spool),
        "images, once": (f"rows x {image_bytes:,} B", float(rows * image_bytes)),
        "dataset": (f"rows x ({image_bytes:,} + {m.row:,.0f}) B", rows * (image_bytes + m.row)),
    }


# --- the tables ---------------------------------------------------------------------------------------------


def main() -> None:
    """Simulate, work out, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--image-bytes", type=int, default=100_000, help="of an image, each row its own")
    parser.add_argument("--upload", type=float, default=50e6, help="bytes a second, for the files of batches")
    parser.add_argument("--workers", type=int, default=8, help="shards that run at once")
    given = parser.parse_args()
    rows: int = given.rows
    print(f"## Calls: {sum(a.calls for a in LOAD.values()):.1f} a row, by the rules of thumb of `plan`\n")
    print(calls_table(rows, given.image_bytes, given.upload))
    print(f"\n## One machine's work, and what {given.workers} shards leave of it\n")
    print(machine_table(rows, given.workers, given.image_bytes))
    print("\n## What takes longest: providers and first pass run at once, the second pass comes after them\n")
    print(bottlenecks(rows, given.workers))


def calls_table(rows: int, image_bytes: int, upload: float) -> str:
    """Compare live calls and batches at both sizes."""
    head = ["rows", "limits", "calls", "live", "at its limit", "by", "live, USD"]
    head += [f"batches of {name}" for name in TURNAROUND] + ["USD"]
    lines = [head]
    for name, cast in CASTS.items():
        ran = live(rows, cast, LOAD)
        for count in (rows, LARGE):
            limit, why = worked_out(count, cast, LOAD)
            seconds = limit + ran.seconds - worked_out(rows, cast, LOAD)[0]
            calls = sum(ran.calls.values()) if count == rows else count * sum(a.calls for a in LOAD.values())
            asked = {step: count * LOAD[step].calls for step in STEPS}
            late = [
                batched(count, cast, LOAD, turnaround=t, image_bytes=image_bytes, upload=upload)
                for t in TURNAROUND.values()
            ]
            mark = "" if count == rows else "~"
            cells = [f"{count:,}", name, f"{mark}{calls:,.0f}", mark + span(seconds), span(limit), why]
            cells += [f"{cost_of(asked, cast, LOAD):,.0f}", *(span(one.seconds) for one in late)]
            lines.append([*cells, f"{late[0].cost:,.0f}"])
            if ran.turned_away and count == rows:
                lines[-1][3] += f" ({ran.turned_away:,} turned away)"
    return table(lines)


def machine_table(rows: int, workers: int, image_bytes: int) -> str:
    """Show formulas and what comes of them: time, memory and disk."""
    lines = [
        ["what", "formula", f"{rows:,} rows", f"{LARGE:,} rows", f"{LARGE:,}, {workers} shards"],
    ]
    small, large = machine(rows, 1, MEASURED), machine(LARGE, 1, MEASURED)
    shared = machine(LARGE, workers, MEASURED)
    for what, (formula, seconds) in small.items():
        lines.append([what, formula, span(seconds), span(large[what][1]), span(shared[what][1])])
    small, large = memory(rows, 1, MEASURED), memory(LARGE, 1, MEASURED)
    shared = memory(LARGE, workers, MEASURED)
    for what, (formula, _) in small.items():
        lines.append([f"memory: {what}", formula, *(bytes_told(s[what][1]) for s in (small, large, shared))])
    small, large = disk(rows, image_bytes, MEASURED), disk(LARGE, image_bytes, MEASURED)
    for what, (formula, _) in small.items():
        lines.append(
            [f"disk: {what}", formula, bytes_told(small[what][1]), bytes_told(large[what][1]), "the same"]
        )
    return table(lines)


def bottlenecks(rows: int, workers: int) -> str:
    """Name what takes longest at each size."""
    lines = [["rows", "limits", "shards", "first", "then", "then"]]
    for count in (rows, LARGE):
        for name, cast in CASTS.items():
            for shards in (1, workers):
                limit, why = worked_out(count, cast, LOAD)
                parts = [(limit, why)]
                for what, (_, seconds) in machine(count, shards, MEASURED).items():
                    if not what.startswith("again"):
                        parts.append((seconds, what))
                ranked = [f"{what} ({span(seconds)})" for seconds, what in sorted(parts, reverse=True)]
                lines.append([f"{count:,}", name, str(shards), *ranked[:3]])
    return table(lines)


def span(seconds: float) -> str:
    """Write a time as people do."""
    for unit, size in (("days", DAY), ("h", HOUR), ("min", 60.0)):
        if seconds >= 2 * size or (unit == "h" and seconds >= size):
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def bytes_told(size: float) -> str:
    """Write a size as people do."""
    for unit, of in (("TB", 1e12), ("GB", 1e9)):
        if size >= of:
            return f"{size / of:.1f} {unit}"
    return f"{size / 1e6:.0f} MB"


def table(lines: Iterable[list[str]]) -> str:
    """Write a table in Markdown."""
    head, *rest = lines
    rows = [head, ["---"] * len(head), *rest]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


if __name__ == "__main__":
    main()
