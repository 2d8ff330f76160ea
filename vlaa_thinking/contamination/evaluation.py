"""Evaluation sets as they are published: files, folders, or sets on the Hub, with whatever columns they have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlaa_thinking.contamination import Benchmark, grams
from vlaa_thinking.errors import ProjectError, SetupError
from vlaa_thinking.record import Picture
from vlaa_thinking.sources.cells import decoded, text
from vlaa_thinking.sources.hub import image_bytes
from vlaa_thinking.sources.pictures import Image, Pictures
from vlaa_thinking.sources.place import Folder, on_the_hub, unreachable
from vlaa_thinking.sources.tabular import METADATA, open_file, open_folder
from vlaa_thinking.sources.text import repaired

if TYPE_CHECKING:
    from vlaa_thinking.images import ImageStore

    Cells = Mapping[str, Any]

QUESTIONS = ("question", "problem", "query", "prompt", "instruction", "text")
"""The column of the question: the first of these that a row has."""

IDS = ("id", "pid", "question_id", "questionid", "sample_index", "index", "idx")
"""The column that names a row; without one, it is counted from 1."""

NAMES = ("image", "img", "file_name", "picture", "photo")
"""How the columns begin whose text is an image's path."""

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")

KEY = "decontaminate"


def read_benchmark(name: str, root: Path, images: ImageStore, between: Callable[[], None]) -> Benchmark:
    """Read an evaluation set: a file or folder below `root`, or else a set on the Hub ("org/name", "org/name@revision").

    Its images are stored, to be compared. Raises `SetupError` for one that is not there, or that shows nothing to hold
    rows against.
    """
    path = root / name
    found = Benchmark(Path(name).name if Path(name).is_absolute() else name)
    missing = 0
    for cells, image in _local(path, name) if path.exists() else _hub(name, root):
        between()
        found.rows += 1
        lower = {str(column).lower(): value for column, value in cells.items()}
        row = next((text(lower[column]) for column in IDS if text(lower.get(column))), str(found.rows))
        question = next((text(lower[column]) for column in QUESTIONS if text(lower.get(column))), "")
        for gram, _ in grams(repaired(question)):
            found.grams.setdefault(gram, row)
        for held in image:
            facts = images.add(held) if isinstance(held, (bytes, Path)) else None
            if isinstance(facts, Picture):
                found.images.setdefault(facts.sha256, row)
                found.fingerprints[facts.sha256] = facts.fingerprint
            else:
                missing += 1
    images.settle()
    if missing and not found.images:
        raise _error(
            f"none of the {missing:,} images that {name} names can be read; put them beside its rows"
        )
    if not found.images and not found.grams:
        raise _error(f"{name} has no image, and no question of 13 words, in {found.rows:,} rows")
    return found


def _error(message: str) -> ProjectError:
    return ProjectError(f'"{KEY}": {message}', file="cards/6_curate.toml")


def _local(path: Path, name: str) -> Iterator[tuple[Cells, list[Image]]]:
    """Read a file; or a folder of images with its metadata, or with any tables in it or below."""
    folder = path if path.is_dir() else path.parent
    try:
        with Pictures(Folder(folder), KEY) as pictures:
            if path.is_file():
                tables = [open_file(path, KEY)]
            elif any(next(path.rglob(metadata), None) for metadata in METADATA):
                tables = [open_folder(path, KEY)]
            else:
                files = sorted(f for f in path.rglob("*") if f.suffix.lower() in SUFFIXES)
                tables = [open_file(file, KEY) for file in files if file.name != "manifest.json"]
            for table in tables:
                for cells in table.rows:
                    yield cells, list(_images(cells, pictures.get))
    except SetupError as exc:
        raise _error(f"{name}: {exc}") from exc


def _hub(name: str, root: Path) -> Iterator[tuple[Cells, list[Image]]]:
    """Read every split of every config of a set on the Hub, as it comes over the network."""
    hf, _, revision = name.partition("@")
    if hf.count("/") != 1 or hf.startswith((".", "/")):
        raise _error(
            f"there is no file or folder {name} in {root}, and it is no name of a set on the Hub (org/name)"
        )
    import datasets  # noqa: PLC0415 - heavy

    commit = on_the_hub(hf, revision or None, KEY).sha
    try:
        for config in datasets.get_dataset_config_names(hf, revision=commit):
            splits: Any = datasets.load_dataset(hf, config, streaming=True, revision=commit)
            for split in splits.values():
                for cells in split.decode(False):
                    yield cells, list(_images(cells, lambda _: None))
    except SetupError:
        raise
    except Exception as exc:
        raise unreachable(hf, KEY, exc) from exc


def _images(cells: Cells, find: Callable[[str], Image]) -> Iterator[Image]:
    """Give the images of a row: cells that hold one, and paths in columns that are named for it; URLs are not fetched."""
    for column, cell in cells.items():
        for value in cell if isinstance(cell, (list, tuple)) else (cell,):
            if isinstance(value, bytes):
                yield value
            elif isinstance(value, Mapping) and value.keys() >= {"bytes", "path"}:
                yield image_bytes(value) or _found(value.get("path"), find)
            elif isinstance(value, str) and (held := decoded(value)) is not None:
                yield held
            elif str(column).lower().startswith(NAMES) and isinstance(value, str) and "." in value:
                yield _found(value, find)


def _found(name: object, find: Callable[[str], Image]) -> Image:
    if not isinstance(name, str) or "://" in name or not name.strip():
        return None
    path = Path(name)
    return path if path.is_absolute() and path.is_file() else find(name)
