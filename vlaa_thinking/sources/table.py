"""Anybody's own rows: a JSONL, CSV or Parquet file with one question a row, read by column names."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vlaa_thinking.errors import SetupError
from vlaa_thinking.record import Box, Row
from vlaa_thinking.sources import Rows, Source
from vlaa_thinking.toml import nearest

if TYPE_CHECKING:
    from vlaa_thinking.record import AnswerType

Cells = Mapping[str, Any]
"""One row of a file, by column."""


def read(  # noqa: PLR0913 - one key a column
    at: Source,
    *,
    path: str,
    image: str = "image",
    question: str = "question",
    answer: str = "answer",
    answer_type: Literal["auto", "digit", "choice", "math", "iou", "open"] = "auto",
    image_root: str = ".",
    id: str | None = None,  # noqa: A002 - the key's name in TOML
    answers: str | None = None,
    choices: str | None = None,
    boxes: str | None = None,
    notes: str | None = None,
    caption: str | None = None,
    text_question: str | None = None,
) -> Iterator[Row]:
    """Read rows from `path`, below the project; the other keys name columns ("meta.rationale" reads into one).

    `image` holds a path below `image_root`, or the bytes (Parquet). `answers` and `choices` hold lists (in CSV:
    JSON, or separated by |), `boxes` a list of normalised [left, top, right, bottom]. Without `id`, a hash of
    image and question takes its place. Raises `SetupError` for a missing file or column.
    """
    file = at.root / path
    if not file.is_file():
        raise SetupError(f'source "{at.name}": there is no file {path} in {at.root}')
    if not (at.root / image_root).is_dir():
        raise SetupError(f'source "{at.name}": there is no folder {image_root} in {at.root} (image_root)')
    columns = {
        "image": image, "question": question, "answer": answer, "id": id, "answers": answers, "choices": choices,
        "boxes": boxes, "notes": notes, "caption": caption, "text_question": text_question,
    }  # fmt: skip
    wanted = {field: column for field, column in columns.items() if column is not None}
    cells, known, count = _open(file, at.name)
    if not count:
        raise SetupError(f'source "{at.name}": {path} holds no rows')
    for column in wanted.values():
        if column not in known:
            raise SetupError(f'source "{at.name}": {path} has no column "{column}"{nearest(column, known)}')
    find = _ImageFinder(at.root / image_root, at.name)
    return Rows((_row(c, wanted, answer_type, find) for c in cells), count)


def _row(
    cells: Cells, columns: Mapping[str, str], answer_type: AnswerType | Literal["auto"], find: _ImageFinder
) -> Row:
    value = {field: _cell(cells, column) for field, column in columns.items()}
    boxes = _list(value.get("boxes"))
    if boxes and not isinstance(boxes[0], (list, tuple)):
        boxes = [boxes]
    return Row(
        id=_text(value.get("id")) or None,
        image=find(value["image"]),
        question=_text(value["question"]),
        answer=_text(value["answer"]),
        answer_type=answer_type,
        answers=tuple(_text(v) for v in _list(value.get("answers"))),
        choices=tuple(_text(v) for v in _list(value.get("choices"))),
        boxes=tuple(_box(b) for b in boxes),
        notes=_text(value.get("notes")),
        caption=_text(value.get("caption")) or None,
        text_question=_text(value.get("text_question")) or None,
    )


def _cell(cells: Cells, column: str) -> Any:  # noqa: ANN401 - any cell
    if column in cells:
        return cells[column]
    value: Any = cells
    for part in column.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _text(value: Any) -> str:  # noqa: ANN401 - any cell
    if value is None:
        return ""
    if isinstance(value, str):
        return value.encode(errors="replace").decode().strip()  # JSON may hold half of a surrogate pair
    if isinstance(value, (list, dict)):
        return _text(json.dumps(value, ensure_ascii=False, default=str))
    return str(value)


def _list(value: Any) -> list[Any]:  # noqa: ANN401 - any cell
    if value is None or value == "":
        return []
    if isinstance(value, str):
        try:
            parsed = json.loads(value)
        except ValueError:
            parsed = None
        return parsed if isinstance(parsed, list) else [v.strip() for v in value.split("|")]
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _box(value: Any) -> Box:  # noqa: ANN401 - any cell
    try:
        left, top, right, bottom = (float(v) for v in value)
    except (TypeError, ValueError):
        return (-1.0, -1.0, -1.0, -1.0)  # no box: `collect` drops the row for its answer
    return left, top, right, bottom


def _open(file: Path, source: str) -> tuple[Iterator[Cells], list[str], int]:
    """Open a file by its suffix; returns its rows, its columns and how many rows there are.

    It is read once from end to end, so that what is broken in it is told before anything is paid.
    """
    readers: dict[str, Callable[[Path], tuple[Iterator[Cells], list[str], int]]] = {
        ".csv": partial(_csv, delimiter=","),
        ".tsv": partial(_csv, delimiter="\t"),
        ".jsonl": _jsonl,
        ".ndjson": _jsonl,
        ".json": _jsonl,
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
    except (
        OSError,
        ValueError,
        RecursionError,
        csv.Error,
    ) as exc:  # Arrow's own errors are among the ValueErrors
        words = " ".join(str(exc).split())
        raise SetupError(f'source "{source}": {file.name} cannot be read: {words}') from exc


def _undecoded(file: Path) -> int:
    """Find the first line that is not in UTF-8."""
    with file.open("rb") as opened:
        for number, line in enumerate(opened, 1):
            if line.decode(errors="ignore").encode() != line:
                return number
    return 1


def _csv(file: Path, *, delimiter: str) -> tuple[Iterator[Cells], list[str], int]:
    csv.field_size_limit(sys.maxsize)

    def rows() -> Iterator[Cells]:
        with file.open(encoding="utf-8-sig", newline="") as opened:  # Excel writes a byte order mark
            yield from csv.DictReader(opened, delimiter=delimiter)

    with file.open(encoding="utf-8-sig", newline="") as opened:
        columns = next(csv.reader(opened, delimiter=delimiter), [])
    return rows(), columns, sum(1 for _ in rows())


def _jsonl(file: Path) -> tuple[Iterator[Cells], list[str], int]:
    def rows() -> Iterator[Cells]:
        with file.open(encoding="utf-8-sig") as opened:
            for number, line in enumerate(opened, 1):
                if line.strip():
                    yield _json_line(line, number)

    columns: dict[str, None] = {}
    count = 0
    for count, row in enumerate(rows(), 1):  # noqa: B007 - the last number is the count
        columns |= dict.fromkeys(_names(row))
    return rows(), list(columns), count


def _json_line(line: str, number: int) -> Cells:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as exc:
        message = f"line {number} is not a JSON object, one to a line: {exc.msg} (column {exc.colno})"
        raise ValueError(message) from exc
    if not isinstance(row, dict):
        raise ValueError(f"line {number} is not a JSON object, one to a line, but a {type(row).__name__}")  # noqa: TRY004 - of the file, not of the code
    return row


def _names(row: Cells, above: str = "") -> Iterator[str]:
    """Give the names of all cells of a row, those in objects with dots."""
    for name, value in row.items():
        yield above + name
        if isinstance(value, dict):
            yield from _names(value, f"{above}{name}.")


def _parquet(file: Path) -> tuple[Iterator[Cells], list[str], int]:
    import pyarrow.parquet as pq  # noqa: PLC0415 - heavy

    def rows() -> Iterator[Cells]:
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(batch_size=64):
                yield from batch.to_pylist()

    with pq.ParquetFile(file) as opened:
        names = _fields(opened.schema_arrow)
        return rows(), list(names), opened.metadata.num_rows


def _fields(fields: Any, above: str = "") -> Iterator[str]:  # noqa: ANN401 - pyarrow is untyped
    """Give the names of all fields of a schema, those in structs with dots."""
    import pyarrow as pa  # noqa: PLC0415 - heavy

    for field in fields:
        yield above + field.name
        if pa.types.is_struct(field.type):
            yield from _fields(field.type, f"{above}{field.name}.")


class _ImageFinder:
    """Find an image at root/path, then by its last component anywhere below root."""

    def __init__(self, root: Path, source: str) -> None:
        self._root = root
        self._source = source
        self._by_name: dict[str, list[Path]] | None = None

    def __call__(self, cell: Any) -> Path | bytes | None:  # noqa: ANN401 - any cell
        if isinstance(cell, Mapping):  # the form of Hugging Face's Image feature
            cell = cell.get("bytes") or cell.get("path")
        if isinstance(cell, bytes):
            return cell
        if not isinstance(cell, str) or not cell.strip():
            return None
        name = cell.strip()
        path = self._root / name.lstrip("/")
        try:
            for place in (path, Path(name)) if name.startswith("/") else (path,):
                if place.is_file():
                    return place
        except OSError:  # no name of a file at all, or a folder that may not be read
            return path
        return self._named(path)

    def _named(self, path: Path) -> Path:
        if self._by_name is None:
            self._by_name = {}
            for found in self._root.rglob("*"):
                if found.is_file():
                    self._by_name.setdefault(found.name, []).append(found)
        hits = self._by_name.get(path.name, [])
        if len(hits) > 1:
            places = ", ".join(sorted(h.relative_to(self._root).as_posix() for h in hits)[:2])
            raise SetupError(
                f'source "{self._source}": the image {path.name} lies in several folders ({places}); '
                "write its path below image_root into the table"
            )
        return hits[0] if hits else path
