"""Tables as they lie about: CSV, JSON, Parquet, folders of images with their metadata, sets on the Hub."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from vlaa_thinking.errors import SetupError
from vlaa_thinking.sources.objects import objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from vlaa_thinking.sources.cells import Cells


@dataclass(frozen=True, slots=True)
class Table:
    """An open table."""

    rows: Iterator[Cells]
    columns: list[str]
    """Those inside others with dots."""
    count: int
    """Its rows; 0: not known."""


METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
"""What a folder of images has its questions in, as Hugging Face names it; each row's `file_name` is its image."""


def open_file(file: Path, source: str) -> Table:
    """Open a file by its suffix.

    It is read once from end to end, so that what is broken in it is told before anything is paid.
    """
    readers: dict[str, Callable[[Path], Table]] = {
        ".csv": partial(_csv, delimiter=","),
        ".tsv": partial(_csv, delimiter="\t"),
        ".jsonl": _jsonl,
        ".ndjson": _jsonl,
        ".json": partial(_json, words=f'source "{source}": {file.name}'),
        ".parquet": _parquet,
    }
    reader = readers.get(file.suffix.lower())
    if reader is None:
        known = ", ".join(readers)
        raise SetupError(f'source "{source}": {file.name} is none of the files that can be read ({known})')
    try:
        return reader(file)
    except UnicodeDecodeError as exc:
        message = (
            f'source "{source}": {file.name}, line {_undecoded(file)}, is not in UTF-8: save it in UTF-8'
        )
        raise SetupError(message) from exc
    except (OSError, ValueError, RecursionError, csv.Error) as exc:
        # Arrow's own errors are among the ValueErrors.
        words = " ".join(str(exc).split())
        raise SetupError(f'source "{source}": {file.name} cannot be read: {words}') from exc


def open_folder(folder: Path, source: str) -> Table:
    """Open a folder of images whose questions lie in files called metadata, in it or in folders below."""
    files = sorted(file for name in METADATA for file in folder.rglob(name))
    if not files:
        raise SetupError(f'source "{source}": there is no {" or ".join(METADATA)} in {folder} or below it')
    tables = [open_file(file, source) for file in files]
    named = (_placed(table.rows, file.parent) for table, file in zip(tables, files, strict=True))
    columns = dict.fromkeys(column for table in tables for column in table.columns)
    return Table(chain.from_iterable(named), list(columns), sum(table.count for table in tables))


def _placed(rows: Iterator[Cells], folder: Path) -> Iterator[Cells]:
    """Put a metadata file's folder before the names of its images."""
    for cells in rows:
        name = cells.get("file_name")
        yield {**cells, "file_name": str(folder / name)} if isinstance(name, str) and name else cells


def _undecoded(file: Path) -> int:
    """Find the first line that is not in UTF-8."""
    with file.open("rb") as opened:
        for number, line in enumerate(opened, 1):
            if line.decode(errors="ignore").encode() != line:
                return number
    return 1


def _csv(file: Path, *, delimiter: str) -> Table:
    csv.field_size_limit(sys.maxsize)

    def rows() -> Iterator[Cells]:
        with file.open(encoding="utf-8-sig", newline="") as opened:  # Excel writes a byte order mark
            yield from csv.DictReader(opened, delimiter=delimiter)

    with file.open(encoding="utf-8-sig", newline="") as opened:
        columns = next(csv.reader(opened, delimiter=delimiter), [])
    return Table(rows(), columns, sum(1 for _ in rows()))


def _jsonl(file: Path) -> Table:
    def rows() -> Iterator[Cells]:
        with file.open(encoding="utf-8-sig") as opened:
            for number, line in enumerate(opened, 1):
                if line.strip():
                    yield _json_line(line, number)

    columns: dict[str, None] = {}
    count = 0
    for count, row in enumerate(rows(), 1):  # noqa: B007 - the last number is the count
        columns |= dict.fromkeys(names(row))
    return Table(rows(), list(columns), count)


def _json(file: Path, *, words: str) -> Table:
    """Open a file that is one array of objects, or has an object on each line."""
    with file.open(encoding="utf-8-sig") as text:
        if not text.read(4096).lstrip().startswith("["):
            return _jsonl(file)
    columns: dict[str, None] = {}
    count = 0
    for count, row in enumerate(objects(lambda: file.open("rb"), words), 1):  # noqa: B007 - the last number is the count
        columns |= dict.fromkeys(names(row))
    return Table(objects(lambda: file.open("rb"), words), list(columns), count)


def _json_line(line: str, number: int) -> Cells:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as exc:
        message = f"line {number} is not a JSON object, one to a line: {exc.msg} (column {exc.colno})"
        raise ValueError(message) from exc
    if not isinstance(row, dict):
        raise ValueError(f"line {number} is not a JSON object, one to a line, but a {type(row).__name__}")  # noqa: TRY004 - of the file, not of the code
    return row


def names(row: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Give the names of all cells of a row, those in objects with dots."""
    for name, value in row.items():
        yield above + name
        if isinstance(value, dict):
            yield from names(value, f"{above}{name}.")


def _parquet(file: Path) -> Table:
    import pyarrow.parquet as pq  # noqa: PLC0415 - heavy

    def rows() -> Iterator[Cells]:
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(batch_size=64):
                yield from batch.to_pylist()

    with pq.ParquetFile(file) as opened:
        found = list(_fields(opened.schema_arrow))
        return Table(rows(), found, opened.metadata.num_rows)


def _fields(fields: Any, above: str = "") -> Iterator[str]:  # noqa: ANN401 - pyarrow is untyped
    """Give the names of all fields of a schema, those in structs with dots."""
    import pyarrow as pa  # noqa: PLC0415 - heavy

    for field in fields:
        yield above + field.name
        if pa.types.is_struct(field.type):
            yield from _fields(field.type, f"{above}{field.name}.")
