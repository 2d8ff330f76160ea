"""Hold a finished dataset against what the server said: `python check.py OUT DATA` prints how many rows are wrong."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from server import ANSWER, CLEAN, LEAKING, SCENE, THOUGHT

COLUMNS = ("image", "source_id", "caption", "teacher_reasoning", "reasoning", "completion", "score_reason")


def main() -> None:
    """Read every kept row."""
    out, data = map(Path, sys.argv[1:])
    wrong = 0
    for path in sorted(out.glob("sft/*.parquet")):
        file = pq.ParquetFile(path)
        for batch in file.iter_batches(100, columns=list(COLUMNS)):
            wrong += sum(not right(row, data) for row in batch.to_pylist())
    print(wrong)


def right(row: dict[str, Any], data: Path) -> bool:
    """Tell whether everything in a row is of that row."""
    number = row["source_id"]
    picture = (data / "images" / f"{number}.png").read_bytes()
    return (
        hashlib.sha256(row["image"]["bytes"]).digest() == hashlib.sha256(picture).digest()
        and row["caption"] == SCENE.format(row=number)
        and row["teacher_reasoning"] == THOUGHT.format(first=LEAKING, row=number)
        and row["reasoning"] == THOUGHT.format(first=CLEAN, row=number)
        and f"<answer>{ANSWER.format(row=number)}</answer>" in row["completion"][0]["content"]
        and row["score_reason"] == f"Both name the kettle of row {number}."
    )


if __name__ == "__main__":
    main()
