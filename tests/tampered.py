"""Finished datasets, changed afterwards: by a hand that mends the manifest's hashes, or by one that does not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vlaa_thinking.dataset import root_of
from vlaa_thinking.places import hash_file

Rows = list[dict[str, Any]]


def manifest_of(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return read


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2), encoding="utf-8")


def seal(folder: Path) -> None:
    """Let the manifest know the files and row counts as they are now."""
    manifest = manifest_of(folder)
    names = [path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"]
    manifest["files"] = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": hash_file(path)}
        for path in sorted(names)
    }
    manifest["root_sha256"] = root_of(manifest["files"])
    for config, parts in manifest["splits"].items():
        for part, split in parts.items():
            split["rows"] = sum(
                pq.ParquetFile(file).metadata.num_rows for file in folder.glob(f"{config}/{part}-*.parquet")
            )
    kept = [
        split["rows"] for config in ("sft", "rl") for split in manifest["splits"].get(config, {}).values()
    ]
    dropped = [split["rows"] for split in manifest["splits"].get("rejected", {}).values()]
    manifest["rows"] |= {"kept": sum(kept), "dropped": sum(dropped)}
    write_manifest(folder, manifest)


def file_of(folder: Path, split: str = "sft/train") -> Path:
    (file,) = folder.glob(f"{split}-*.parquet")
    return file


def rows_of(folder: Path, split: str = "sft/train") -> Rows:
    rows: Rows = pq.read_table(file_of(folder, split)).to_pylist()
    return rows


def rewrite(
    folder: Path, change: Callable[[Rows], Rows], split: str = "sft/train", *, schema: Any = None
) -> None:
    """Change the rows of a split, and seal the folder."""
    file = file_of(folder, split)
    schema = schema or pq.read_schema(file)
    pq.write_table(pa.Table.from_pylist(change(rows_of(folder, split)), schema=schema), file)
    seal(folder)


def edit(folder: Path, place: int, split: str = "sft/train", **columns: Any) -> str:
    """Change columns of one row, and seal the folder; returns the row's id."""
    ids = []

    def change(rows: Rows) -> Rows:
        ids.append(rows[place]["id"])
        rows[place] |= columns
        return rows

    rewrite(folder, change, split)
    return str(ids[0])
