"""Import a made release with every defect planted, compare what is named with the maker's list, and measure it.

    python tests/benchmarks/release.py                   20,000 rows: about half a minute
    python tests/benchmarks/release.py --rows 150000     as many as the authors' files hold

Each import runs in a process of its own, so that its peak memory is its own; the images are small, so the figures
are those of the rows. Ends with 1 where a row is named otherwise than it was planted.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
REPO = HERE.parents[1]
sys.path[:0] = [str(REPO), str(HERE.parent)]

from made_release import make_release  # noqa: E402

from vlaa_thinking import import_release  # noqa: E402


def main() -> int:
    """Run the benchmark; the exit code says whether every row was named rightly."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--one", nargs=3, metavar=("FOLDER", "OUT", "WAY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        return measure(*arguments.one)
    with tempfile.TemporaryDirectory() as home:
        folder, out = Path(home, "release"), Path(home, "set")
        began = time.perf_counter()
        planted = make_release(folder, arguments.rows)
        print(f"made {len(planted):,} rows in {time.perf_counter() - began:.1f} s")
        for way in ("import", "again", "check", "no images"):
            target = out.with_name("bare") if way == "no images" else out
            run([sys.executable, __file__, "--one", str(folder), str(target), way])
        lines = (out / "defects.jsonl").read_text(encoding="utf-8").splitlines()
    named = {(line["file"], line["line"]): line for line in map(json.loads, lines)}
    wrong = [
        row
        for row in planted
        if set(row.defects) != set(named.get((row.file, row.line), {"defects": ()})["defects"])
        or (row.defects and named[row.file, row.line]["config"] != row.config)
    ]
    defects = sum(len(row.defects) for row in planted)
    print(
        f"{defects:,} defects planted in {sum(bool(row.defects) for row in planted):,} rows; named otherwise: {len(wrong)}"
    )
    return 1 if wrong else 0


def run(command: list[str]) -> None:
    """Run one import, and let it print."""
    subprocess.run(command, check=True)


def measure(folder: str, out: str, way: str) -> int:
    """Import once, and print rows a second and peak memory."""
    result = import_release(folder, out=out, check=way == "check", embed=way != "no images")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    speed = result.rows / result.seconds
    print(
        f"{way:12} {result.rows:,} rows in {result.seconds:6.1f} s: {speed:7,.0f} rows/s, peak {peak:,.0f} MiB",
        flush=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
