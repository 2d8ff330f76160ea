"""Find planted twins among a thousand different images, and propose pairs among many fingerprints.

    python tests/benchmarks/likeness.py                      1,000 images with 200 twins, then 200,000 fingerprints
    python tests/benchmarks/likeness.py --fingerprints 0     the images alone

The images are drawn: 300 forms of one layout, 300 plots on the same axes, 200 scenes, 200 of detail at every scale; 40
of them have five twins each, resized, encoded anew and cropped by 2 %. Ends with 1 where a twin is missed, or different
images are taken for twins.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import resource
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]

from lookalikes import encoded, thousand, twins  # noqa: E402

from vlaa_thinking.cache import Cache  # noqa: E402
from vlaa_thinking.images import ImageStore  # noqa: E402
from vlaa_thinking.likeness import CELLS  # noqa: E402
from vlaa_thinking.likeness.proposals import gathered, propose  # noqa: E402
from vlaa_thinking.likeness.twins import related  # noqa: E402
from vlaa_thinking.record import Picture  # noqa: E402

PLANTED = 10
"""Images of each kind that have twins."""


def main() -> int:
    """Run both; the exit code says whether every twin was found, and nothing else."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fingerprints", type=int, default=200_000)
    count = parser.parse_args().fingerprints
    wrong = look()
    if count:
        crowd(count)
    return int(wrong)


def look() -> bool:
    """Check and compare the images; says whether anything was wrong."""
    names: dict[str, str] = {}
    prints: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as home, closing(Cache(Path(home, "answers.sqlite"))) as cache:
        images = ImageStore(Path(home, "images"), cache)
        for name, image in thousand():
            number = int(name.split()[1])
            planted = twins(image, number) if number < PLANTED else ()
            for how, data in (("", encoded(image)), *planted):
                facts = images.add(data)
                if isinstance(facts, Picture):
                    names[facts.sha256] = f"{name}/{how}"
                    prints[facts.sha256] = facts.fingerprint
        began = time.process_time()
        groups = related(prints.items(), {}, images, cache).groups
        seconds = time.process_time() - began
    found: dict[str, set[str]] = {}
    for sha256, name in names.items():
        found.setdefault(groups.get(sha256, sha256), set()).add(name.partition("/")[0])
    apart = len(found) - sum(name.endswith("/") for name in names.values())
    mixed = [group for group in found.values() if len(group) > 1]
    print(f"{len(names):,} images, {4 * PLANTED * 5} of them twins: {seconds:.1f} s of processor time")
    print(
        f"twins missed: {max(0, apart) + len(mixed)}; different images taken for twins: {mixed or 0}",
        flush=True,
    )
    return bool(apart or mixed)


def crowd(count: int) -> None:
    """Propose pairs among made fingerprints, and print time and peak memory."""
    names, table = gathered(made(count))
    began = time.process_time()
    pairs = sum(1 for _ in propose(table, lambda: None))
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 * 1.048576
    print(
        f"{len(names):,} fingerprints, {pairs:,} pairs proposed: {seconds:.0f} s of processor time, peak {peak:,.0f} MB"
    )


def made(count: int) -> Iterator[tuple[str, str]]:
    """Make fingerprints as those of photographs: coarse patches, and detail on them."""
    rng = np.random.default_rng(0)
    for number in range(count):
        patches = np.kron(rng.normal(128, 45, (4, 4)), np.ones((CELLS // 4, CELLS // 4)))
        levels = np.clip(patches + rng.normal(0, 18, (CELLS, CELLS)), 0, 255).astype(np.uint8)
        data = levels.tobytes() + bytes([10])
        yield hashlib.sha256(b"%d" % number).hexdigest(), base64.b64encode(data).decode()


if __name__ == "__main__":
    sys.exit(main())
