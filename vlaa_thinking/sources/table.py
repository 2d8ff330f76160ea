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
    columns = {
        "image": image, "question": question, "answer": answer, "id": id, "answers": answers, "choices": choices,
        "boxes": boxes, "notes": notes, "caption": caption, "text_question": text_question,
    }  # fmt: skip
    wanted = {field: column for field, column in columns.items() if column is not None}
    cells, known, hint = _open(file, at.name)
    for column in wanted.values():
        if column.partition(".")[0] not in known and column not in known:
            raise SetupError(f'source "{at.name}": {path} has no column "{column}"{nearest(column, known)}')
    find = _ImageFinder(at.root / image_root, at.name)
    return Rows((_row(c, wanted, answer_type, find) for c in cells), hint)


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
        return value.strip()
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
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
    """Open a file by its suffix; returns its rows, its columns and about how many rows there are."""
    readers: dict[str, Callable[[Path], tuple[Iterator[Cells], list[str], int]]] = {
        ".csv": partial(_csv, delimiter=","),
        ".tsv": partial(_csv, delimiter="\t"),
        ".jsonl": partial(_jsonl, source=source),
        ".ndjson": partial(_jsonl, source=source),
        ".json": partial(_jsonl, source=source),
        ".parquet": _parquet,
    }
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise SetupError(
            f'source "{source}": {file.name} is none of the files that can be read ({", ".join(readers)})'
        )
    return reader(file)


def _csv(file: Path, *, delimiter: str) -> tuple[Iterator[Cells], list[str], int]:
    csv.field_size_limit(sys.maxsize)
    with file.open(encoding="utf-8-sig", newline="") as opened:  # Excel writes a byte order mark
        columns = next(csv.reader(opened, delimiter=delimiter), [])

    def rows() -> Iterator[Cells]:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            yield from csv.DictReader(opened, delimiter=delimiter)

    return rows(), columns, _lines(file) - 1


def _jsonl(file: Path, *, source: str) -> tuple[Iterator[Cells], list[str], int]:
    def rows() -> Iterator[Cells]:
        with file.open(encoding="utf-8-sig") as opened:
            for number, line in enumerate(opened, 1):
                if line.strip():
                    yield _json_line(line, f'source "{source}": {file.name}, line {number}')

    first = next(rows(), {})
    return rows(), list(first), _lines(file)


def _json_line(line: str, where: str) -> Cells:
    try:
        row = json.loads(line)
    except ValueError as exc:
        raise SetupError(f"{where}: not a JSON object on one line ({exc})") from exc
    if not isinstance(row, dict):
        raise SetupError(f"{where}: not a JSON object, but a {type(row).__name__}")
    return row


def _parquet(file: Path) -> tuple[Iterator[Cells], list[str], int]:
    import pyarrow.parquet as pq  # noqa: PLC0415 - heavy

    opened = pq.ParquetFile(file)

    def rows() -> Iterator[Cells]:
        for batch in opened.iter_batches(batch_size=64):
            yield from batch.to_pylist()

    return rows(), list(opened.schema_arrow.names), opened.metadata.num_rows


def _lines(file: Path) -> int:
    with file.open("rb") as opened:
        return sum(block.count(b"\n") for block in iter(lambda: opened.read(1 << 20), b"")) or 1


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
        path = self._root / cell.strip().lstrip("/")
        if path.is_file():
            return path
        if cell.startswith("/") and Path(cell).is_file():
            return Path(cell)
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
