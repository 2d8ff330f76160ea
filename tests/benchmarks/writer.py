"""Write rows with images by this package's writer, by a plain pyarrow writer, and by `datasets`; time and peak memory.

    python tests/benchmarks/writer.py                              5,000 rows with 50 KB images, each way three times
    python tests/benchmarks/writer.py --rows 50000 --only ours --runs 1 --place DIR     bounded memory: one way, once

Each run has a process of its own, in turns, and writes the same columns from what lies on disk: the images as files,
the rows as a finished build's spool has them (ours), or as JSON Lines of the finished columns (the others). No file
is hashed. The plain writer is `ParquetWriter` as it comes, 100 rows at a time: snappy on everything, no page index, no
content-defined chunks. Compare by ratio, within one run; the goal is 0.8 of the plain writer's speed. Ends with 1
where it is missed, or where peak memory passes 400 MiB.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

REPO = Path(__file__).parents[2]
sys.path[:0] = [str(REPO)]

from vlaa_thinking import Project  # noqa: E402
from vlaa_thinking.arrow import arrow_schema  # noqa: E402
from vlaa_thinking.cache import Cache  # noqa: E402
from vlaa_thinking.dataset import columns, write_splits  # noqa: E402
from vlaa_thinking.images import ImageStore  # noqa: E402
from vlaa_thinking.record import CaptionSignals, Cue, Gold, Picture, Record, Score  # noqa: E402
from vlaa_thinking.spool import Decision, Spool  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

WAYS = ("ours", "plain", "datasets")
GOAL = 0.8
MOST_MIB = 400
LOT = 100
WORDS = [
    "the",
    "box",
    "on",
    "the",
    "left",
    "stands",
    "above",
    "a",
    "line",
    "so",
    "its",
    "width",
    "is",
    "larger",
    "than",
    "that",
    "of",
    "the",
    "other",
    "one",
]


def main() -> int:
    """Run the benchmark; the exit code says whether the goals were met."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--image-bytes", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", choices=WAYS)
    parser.add_argument("--place", type=Path, help="Where to make the rows; kept there for the next run.")
    parser.add_argument("--one", nargs=2, metavar=("PLACE", "WAY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        return measure(Path(arguments.one[0]), arguments.one[1])
    with tempfile.TemporaryDirectory() as home:
        place = (arguments.place or Path(home)) / f"rows-{arguments.rows}-{arguments.image_bytes}"
        if not (place / "made").exists():
            make(place, arguments.rows, arguments.image_bytes)
        ways = [arguments.only] if arguments.only else list(WAYS)
        found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for turn in range(arguments.runs):
            for way in ways[turn % len(ways) :] + ways[: turn % len(ways)]:
                found[way].append(one(place, way))
    return tell(found, arguments.rows)


def tell(found: dict[str, list[dict[str, float]]], rows: int) -> int:
    """Print medians and ratios; returns 1 where a goal is missed."""
    seconds = {way: statistics.median(run["seconds"] for run in runs) for way, runs in found.items()}
    peak = {way: max(run["peak"] for run in runs) for way, runs in found.items()}
    print("| writer | seconds | rows/s | MB/s | its speed / plain | peak MiB |\n|---|--:|--:|--:|--:|--:|")
    for way, took in seconds.items():
        ratio = f"{seconds['plain'] / took:.2f}" if "plain" in seconds else "-"
        speed = found[way][0]["bytes"] / 1e6 / took
        print(f"| {way} | {took:.2f} | {rows / took:,.0f} | {speed:,.0f} | {ratio} | {peak[way]:,.0f} |")
    slow = "plain" in seconds and "ours" in seconds and seconds["plain"] / seconds["ours"] < GOAL
    return int(slow or peak.get("ours", 0) > MOST_MIB)


def one(place: Path, way: str) -> dict[str, float]:
    """Write once, in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", str(place), way], check=True, capture_output=True, text=True
    )
    result: dict[str, float] = json.loads(done.stdout)
    print(f"{way:9} {result['seconds']:6.2f} s, peak {result['peak']:,.0f} MiB", file=sys.stderr, flush=True)
    return result


# --- the rows -----------------------------------------------------------------------------------------


def make(place: Path, rows: int, image_bytes: int) -> None:
    """Lay images, a spool and the finished rows down."""
    place.mkdir(parents=True, exist_ok=True)
    settings = Project.default().settings()
    chance = random.Random(0)
    with (
        closing(Cache(place / "answers.sqlite")) as cache,
        closing(Spool(place / "spool.sqlite", fresh=True)) as spool,
        (place / "rows.jsonl").open("w", encoding="utf-8") as file,
    ):
        images = ImageStore(place / "images", cache)
        for number in range(rows):
            data = chance.randbytes(image_bytes)
            digest = hashlib.sha256(data).hexdigest()
            path = images.path(digest)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            record = made(number, digest, image_bytes, chance)
            why = "sft: no cue of self-reflection in the teacher's reply"
            kept = Decision(key=record.key, config="sft", part="train", code="", why=why)
            spool.put(record, 0, kept)
            row = columns(record, why, settings)
            file.write(json.dumps({**row, "image": str(path)}, ensure_ascii=False) + "\n")
        spool.decide(())
    os.sync()
    (place / "made").touch()


def made(number: int, digest: str, image_bytes: int, chance: random.Random) -> Record:
    """Make a record with texts as long as the paper's."""

    def text(words: int) -> str:
        return " ".join(chance.choices(WORDS, k=words))

    reasoning = text(250)
    return Record(
        id=f"made/{number}", source="made", source_id=str(number), source_license="CC0-1.0", question=text(15),
        gold=Gold(answer_type="choice", answer="B", choices=("this", "that", "neither")),
        picture=Picture(sha256=digest, format="JPEG", width=640, height=480, bytes=image_bytes),
        caption=text(120), caption_signals=CaptionSignals(words=120, refusal=False, repetition=0.0),
        teacher_reasoning=f"{reasoning} {text(10)}", teacher_response=text(40), prediction="B", reasoning=reasoning,
        answer_text="B", word_gap=-10, word_edits=10, score=Score(value=1.0, reason="Chooses B."),
        cues=(Cue(phrase="wait", start=4),),
        models=(("captioner", "eye"), ("reasoner", "mind"), ("rewriter", "pen")),
    )  # fmt: skip


# --- the ways -----------------------------------------------------------------------------------------


def measure(place: Path, way: str) -> int:
    """Write once, and print seconds, bytes and peak memory as JSON."""
    import datasets  # noqa: PLC0415 - loaded before the clock starts, whoever writes
    import pyarrow.parquet  # noqa: F401, PLC0415

    datasets.disable_progress_bars()
    settings = Project.default().settings()
    with tempfile.TemporaryDirectory(dir=place) as out:
        began = time.perf_counter()
        match way:
            case "ours":
                with (
                    closing(Cache(place / "answers.sqlite")) as cache,
                    closing(Spool(place / "spool.sqlite", fresh=False)) as spool,
                ):
                    write_splits(Path(out, "set"), spool, ImageStore(place / "images", cache), settings)
            case "plain":
                write_plainly(place, Path(out, "plain.parquet"))
            case _:
                made_set: Any = datasets.Dataset.from_generator(
                    read,
                    features=datasets.Features.from_arrow_schema(arrow_schema("sft")),
                    gen_kwargs={"place": place},
                    cache_dir=str(Path(out, "cache")),
                )
                made_set.to_parquet(Path(out, "datasets.parquet"))
        seconds = time.perf_counter() - began
        size = sum(file.stat().st_size for file in Path(out).rglob("*.parquet"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "bytes": size, "peak": peak}))
    return 0


def read(place: Path) -> Iterator[dict[str, Any]]:
    """Give the finished rows with their images' bytes."""
    names = [name for name in arrow_schema("sft").names if name != "image"]
    with (place / "rows.jsonl").open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            path = Path(row["image"])
            yield {
                "image": {"bytes": path.read_bytes(), "path": f"{path.name[:16]}.jpg"},
                **{name: row[name] for name in names},
            }


def write_plainly(place: Path, target: Path) -> None:
    """Write with pyarrow alone, a lot of rows at a time."""
    import pyarrow as pa  # noqa: PLC0415 - heavy
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = arrow_schema("sft")
    lot: list[dict[str, Any]] = []
    with pq.ParquetWriter(target, schema) as writer:
        for row in read(place):
            lot.append(row)
            if len(lot) == LOT:
                writer.write_table(pa.Table.from_pylist(lot, schema=schema))
                lot = []
        if lot:
            writer.write_table(pa.Table.from_pylist(lot, schema=schema))


if __name__ == "__main__":
    sys.exit(main())
