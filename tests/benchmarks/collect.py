"""Collect many rows from sets in their native forms, and measure rows a second and peak memory.

    python tests/benchmarks/collect.py                        200,000 rows of each form: some ten minutes
    python tests/benchmarks/collect.py jsonl --rows 20000     a small try

Every row has a tiny image of its own, so the figures are those of rows and files, not of decoding. A tenth of the
rows and then all of them are collected as a build does it, images checked and stored, each time in a process of its
own. Ends with 1 where that takes more than 300 MB, or anything but every row is collected.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import resource
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
import zlib
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HERE = Path(__file__).parent
REPO = HERE.parents[1]
sys.path[:0] = [str(REPO), str(HERE.parent)]

from native import lines, parquet, structured  # noqa: E402
from sums_project import toml  # noqa: E402

from vlaa_thinking import Project  # noqa: E402
from vlaa_thinking.cache import Cache  # noqa: E402
from vlaa_thinking.images import ImageStore  # noqa: E402
from vlaa_thinking.steps.collect import Collection  # noqa: E402

MOST = 300
"""Megabytes that a process may take."""

LOT = 32
"""Rows between two writes of what was found out about images, as in a build."""


def main() -> int:
    """Run the benchmark; the exit code says whether memory stayed bounded."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("forms", nargs="*", metavar="FORM", default=list(MAKERS), help=", ".join(MAKERS))
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--one", type=Path, metavar="PROJECT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        return measure(arguments.one, arguments.rows)
    if unknown := set(arguments.forms) - set(MAKERS):
        parser.error(f"there is no form {', '.join(unknown)}: {', '.join(MAKERS)}")
    worst = 0
    for form in arguments.forms:
        for rows in (arguments.rows // 10, arguments.rows):
            with tempfile.TemporaryDirectory() as home:
                project = Path(home, "project")
                options = MAKERS[form](project / "data", rows)
                make_project(project, options)
                print(f"{form:8}", end=" ", flush=True)
                one = [sys.executable, __file__, "--one", str(project), "--rows", str(rows)]
                worst = max(worst, subprocess.run(one, check=False).returncode)
    return worst


def measure(root: Path, rows: int) -> int:
    """Collect once; print rows a second and peak memory."""
    began = time.perf_counter()
    work = root.with_name("work")
    sound = 0
    with closing(Cache(work / "answers.sqlite")) as cache:
        images = ImageStore(work / "images", cache)
        collected = iter(Collection(Project.open(root).settings(), images, seed=0, limit=None))
        while lot := list(islice(collected, LOT)):
            sound += sum(one.record.outcome is None for one in lot)
            images.settle()
    seconds, cpu = time.perf_counter() - began, time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 * 1.048576
    print(
        f"{sound:,} rows in {seconds:6.1f} s: {sound / seconds:6,.0f} rows/s, "
        f"{cpu:6.1f} s of processor time, peak {peak:,.0f} MB",
        flush=True,
    )
    return int(sound != rows or peak > MOST)


def make_project(root: Path, options: dict[str, object]) -> None:
    """Write a project whose one source is the set in its folder `data`."""
    default = Project.default().root
    for folder in ("generators", "verifiers", "cards"):
        shutil.copytree(default / folder, root / folder)
    (root / "generators/1_collect.toml").write_text(f"[source.big]\n{toml(options)}\n")
    models = (root / "generators/models.toml").read_text()
    old = 'sources = ["counting", "bars", "lines", "boxes", "forms"]'
    (root / "generators/models.toml").write_text(models.replace(old, 'sources = ["big"]'))


# --- the sets ---------------------------------------------------------------------------------------


def png(number: int) -> bytes:
    """Make a tiny image that no other number gives."""
    pixels = b"".join(b"\0" + struct.pack(">Q", number * 2_654_435_761 + row) for row in range(8))
    head = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(pixels, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def table(folder: Path, rows: int) -> dict[str, object]:
    """JSON Lines, and images in folders beside them."""
    for number in range(rows):
        place = folder / f"images/{number // 1000}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.png").write_bytes(png(number))
    facts = (
        {"image": f"{n // 1000}/{n}.png", "question": f"How many are there of number {n}?", "answer": n % 9}
        for n in range(rows)
    )
    write_lines(folder / "rows.jsonl", facts)
    return {"reader": "table", "path": "data/rows.jsonl", "image_root": "data/images"}


def vizwiz(folder: Path, rows: int) -> dict[str, object]:
    """Parquet files with their images."""
    from datasets import Features, Image, List, Value  # noqa: PLC0415 - heavy

    text = Value("string")
    features = Features(
        {"question_id": text, "image": Image(), "question": text, "answers": List(text), "category": text}
    )
    (folder / "data").mkdir(parents=True)
    for start in range(0, rows, 10_000):
        block = [
            {"question_id": str(n), "image": {"bytes": png(n), "path": None}, "question": f"What is number {n}?",
             "answers": ["basil leaves"] * 7 + ["basil"] * 3, "category": "other"}
            for n in range(start, min(rows, start + 10_000))
        ]  # fmt: skip
        (folder / f"data/train-{start // 10_000:05d}.parquet").write_bytes(parquet(block, features))
    return {"reader": "vizwiz", "path": "data"}


def math_puma(folder: Path, rows: int) -> dict[str, object]:
    """One JSON array, and one tar file in the same order."""
    folder.mkdir(parents=True)
    words = "The function y = a * sin(2 * x) goes through (pi/4,-3). What is the function's equation?"
    facts = (
        json.dumps(
            {"image_url": "", "instruction": words, "output": "", "image_url_2": f"images/{n}.png",
             "instruction_2": f"What is the equation of function {n}?",
             "output_2": "Step 1: Substitute.\n\n†Answer: y = -3 * sin(2 * x)."}
        )
        for n in range(rows)
    )  # fmt: skip
    with (folder / "train.json").open("w") as file:
        for number, fact in enumerate(facts):
            file.write(f"{',' if number else '['}\n{fact}")
        file.write("\n]\n")
    write_tar(folder / "images.tar.gz", range(rows))
    return {"reader": "math_puma", "path": "data"}


def arxivqa(folder: Path, rows: int) -> dict[str, object]:
    """JSON Lines, and one tar file in another order: each image waits for its row, or the row for its image."""
    folder.mkdir(parents=True)
    facts = (
        {"id": f"cs-{n}", "image": f"images/{n}.png", "question": "What does the trend suggest?",
         "options": ["A) It increases.", "B) It fluctuates.", "C) It ends."], "label": "C", "rationale": "So."}
        for n in range(rows)
    )  # fmt: skip
    write_lines(folder / "arxivqa.jsonl", facts)
    write_tar(folder / "images.tgz", random.Random(0).sample(range(rows), rows))
    return {"reader": "arxivqa", "path": "data"}


def llava_cot(folder: Path, rows: int) -> dict[str, object]:
    """JSON Lines, and one zip file in two parts."""
    folder.mkdir(parents=True)
    asked = "<image>\nPlease provide the bounding box coordinate of the region this sentence describes: it"
    facts = (
        {"id": str(n), "image": f"coco/train2017/{n}.jpg", "conversations": [
            {"from": "human", "value": asked}, {"from": "gpt", "value": structured("[0.25, 0.25, 0.75, 0.75]")}]}
        for n in range(rows)
    )  # fmt: skip
    write_lines(folder / "train.jsonl", facts)
    whole = folder / "whole"
    with zipfile.ZipFile(whole, "w") as archive:
        for number in range(rows):
            archive.writestr(f"coco/train2017/{number}.jpg", png(number))
    with whole.open("rb") as file:
        for part in ("aa", "ab"):
            with (folder / f"image.zip.part-{part}").open("wb") as out:
                out.write(file.read(whole.stat().st_size // 2 + 1))
    whole.unlink()
    return {"reader": "llava_cot_coco", "path": "data", "way": "adopt"}


MAKERS = {"jsonl": table, "parquet": vizwiz, "tar": math_puma, "mixed": arxivqa, "zip": llava_cot}
"""By name: who writes a set of so many rows into a folder, and says the source's keys."""


def write_lines(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    """Write JSON Lines, some at a time."""
    with path.open("wb") as file:
        while block := list(islice(rows, 1000)):
            file.write(lines(block))


def write_tar(path: Path, numbers: Iterable[int]) -> None:
    """Write a compressed tar file of images in this order."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for number in numbers:
            data = png(number)
            member = tarfile.TarInfo(f"images/{number}.png")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


if __name__ == "__main__":
    sys.exit(main())
