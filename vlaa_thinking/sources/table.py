"""Anybody's own rows, read by column names: a file, a folder of images with metadata, or any set on the Hub."""

from __future__ import annotations

import string
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vlaa_thinking.checks.iou import read_boxes
from vlaa_thinking.errors import SetupError
from vlaa_thinking.record import ANSWER_TYPES, Fault, Row
from vlaa_thinking.sources import Rows, Source
from vlaa_thinking.sources.boxes import BoxFrame, displayed_size, to_unit
from vlaa_thinking.sources.cells import BoxForm, boxes, cell, decoded, items, one_image, text
from vlaa_thinking.sources.hub import Stream, image_bytes
from vlaa_thinking.sources.pictures import Image, Pictures
from vlaa_thinking.sources.place import Folder, Repository
from vlaa_thinking.sources.remote import Downloads
from vlaa_thinking.sources.tabular import Table, open_file, open_folder
from vlaa_thinking.toml import nearest

if TYPE_CHECKING:
    from vlaa_thinking.record import AnswerType
    from vlaa_thinking.sources.cells import Cells

KINDS: dict[str, AnswerType | Literal["auto"]] = {kind: kind for kind in ANSWER_TYPES}
"""The answer types, by what a column may say."""

AHEAD = 16
"""Images that are fetched by their URLs at once."""


def read(  # noqa: PLR0913 - one key a column
    at: Source,
    *,
    path: str | None = None,
    hf: str | None = None,
    config: str | None = None,
    split: str = "train",
    revision: str | None = None,
    streaming: bool = True,
    image: str | None = None,
    question: str = "question",
    answer: str = "answer",
    answer_type: Literal["auto", "digit", "choice", "math", "iou", "open"] = "auto",
    answer_type_column: str | None = None,
    answer_index_from: Literal[0, 1] | None = None,
    image_root: str = ".",
    id: str | None = None,  # noqa: A002 - the key's name in TOML
    answers: str | None = None,
    choices: str | None = None,
    boxes: str | None = None,
    boxes_in: BoxFrame = "unit",
    box_form: BoxForm = "xyxy",
    notes: str | None = None,
    caption: str | None = None,
    text_question: str | None = None,
    allow_private_urls: bool = False,
) -> Iterator[Row]:
    """Read rows from the file or folder `path`, below the project, or from the set `hf` on the Hub.

    `config`, `split`, `revision` and `streaming` are the set's; the keys that name columns may reach into one
    ("meta.rationale"). generators/README.md says what each cell may hold. Without `id`, a hash of image and question
    takes its place. Raises `SetupError` for a missing file, set or column.
    """
    table, find = _opened(at, path, hf, (config, split, revision, streaming), image_root)
    columns = {
        "image": image or ("file_name" if "file_name" in table.columns else "image"), "question": question,
        "answer": answer, "id": id, "answers": answers, "choices": choices, "boxes": boxes, "notes": notes,
        "caption": caption, "text_question": text_question, "answer_type": answer_type_column,
    }  # fmt: skip
    wanted = {field: column for field, column in columns.items() if column is not None}
    for column in wanted.values():
        if column not in table.columns:
            near = nearest(column, table.columns)
            raise SetupError(f'source "{at.name}": {path or hf} has no column "{column}"{near}')
    form = _Form(
        columns=wanted,
        answer_type=answer_type,
        index_from=answer_index_from,
        frame=boxes_in,
        box_form=box_form,
        find=_Finder(find, Downloads(at.downloads, allow_private=allow_private_urls)),
    )
    return Rows(_ahead(table.rows, form, find, at), table.count)


def _opened(
    at: Source,
    path: str | None,
    hf: str | None,
    of_hub: tuple[str | None, str, str | None, bool],
    image_root: str,
) -> tuple[Table, _Here | _Elsewhere]:
    """Open the table, and say where the images that it names are looked for."""
    if (path is None) == (hf is None):
        raise SetupError(
            f'source "{at.name}": name a file or folder with `path`, or a set on the Hub with `hf`'
        )
    if hf is not None:
        config, split, revision, streaming = of_hub
        stream = Stream(
            hf, config=config, split=split, revision=revision, source=at.name, streaming=streaming
        )
        return Table(iter(stream), stream.columns, stream.count), _Elsewhere(hf, revision, at.name)
    file = at.root / str(path)
    if not file.exists():
        raise SetupError(f'source "{at.name}": there is no file {path} in {at.root}')
    if not (at.root / image_root).is_dir():
        raise SetupError(f'source "{at.name}": there is no folder {image_root} in {at.root} (image_root)')
    table = open_folder(file, at.name) if file.is_dir() else open_file(file, at.name)
    if not table.count:
        raise SetupError(f'source "{at.name}": {path} holds no rows')
    return table, _Here(at.root / image_root, at.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """How a table's rows are to be read."""

    columns: Mapping[str, str]
    answer_type: AnswerType | Literal["auto"]
    index_from: int | None
    frame: BoxFrame
    box_form: BoxForm
    find: _Finder

    def row(self, cells: Cells, image: Image) -> Row:
        """Make a row of cells whose image is found already."""
        value = {field: cell(cells, column) for field, column in self.columns.items()}
        accepted = [text(v) for v in items(value.get("answers"))]
        answer = value["answer"]
        if isinstance(answer, (list, tuple)) and not accepted and any(isinstance(v, str) for v in answer):
            accepted = [text(v) for v in answer]
            answer = accepted[0]
        choices = tuple(text(v) for v in items(value.get("choices")))
        if self.index_from is not None:
            answer = _lettered(answer, self.index_from, len(choices))
        kind = text(value.get("answer_type"))
        row = Row(
            id=text(value.get("id")) or None,
            image=image,
            question=text(value["question"]),
            answer=text(answer),
            answer_type=KINDS.get(kind, self.answer_type),
            answers=tuple(accepted),
            choices=choices,
            boxes=boxes(value.get("boxes"), self.box_form),
            notes=text(value.get("notes")),
            caption=text(value.get("caption")) or None,
            text_question=text(value.get("text_question")) or None,
        )
        return row if self.frame == "unit" and self.box_form == "xyxy" else self._framed(row)

    def _framed(self, row: Row) -> Row:
        """Bring a row's boxes, or the one that is its answer, into the unit frame."""
        found = row.boxes
        if not found and row.answer.startswith(("[", "(")):
            found = boxes([list(box) for box in read_boxes(row.answer)], self.box_form)
        size = displayed_size(row.image) if found and self.frame != "unit" else (1, 1)
        if not found or size is None:
            return row
        return replace(row, boxes=tuple(to_unit(box, self.frame, size) for box in found))


def _lettered(answer: Any, start: int, count: int) -> str:  # noqa: ANN401 - any cell
    """Write an option's number as its letter; what is none stays as it is."""
    said = text(answer)
    place = int(said) - start if said.isdecimal() else -1
    return string.ascii_uppercase[place] if 0 <= place < min(count, 26) else said


def _ahead(rows: Iterator[Cells], form: _Form, find: _Here | _Elsewhere, at: Source) -> Iterator[Row]:
    """Give the rows in order, those that are not taken without their image; where images are fetched by their URLs, some are under way at once."""
    waiting: deque[tuple[Cells, Future[Image] | Image]] = deque()
    with find, ThreadPoolExecutor(AHEAD, "image") as pool:
        for cells in rows:
            own = text(cell(cells, form.columns["id"])) if "id" in form.columns else None
            named: Any = one_image(cell(cells, form.columns["image"])) if at.wants(own) else None
            far = isinstance(named, str) and named.strip().startswith(("http://", "https://"))
            waiting.append((cells, pool.submit(form.find.by_url, named) if far else form.find(named)))
            while waiting and (len(waiting) >= AHEAD or not isinstance(waiting[0][1], Future)):
                yield _done(waiting.popleft(), form)
        while waiting:
            yield _done(waiting.popleft(), form)


def _done(pair: tuple[Cells, Future[Image] | Image], form: _Form) -> Row:
    cells, image = pair
    return form.row(cells, image.result() if isinstance(image, Future) else image)


class _Finder:
    """Find the image that a cell names, or holds."""

    def __init__(self, find: Callable[[str], Image], downloads: Downloads) -> None:
        self._find = find
        self._downloads = downloads

    def __call__(self, named: Any) -> Image:  # noqa: ANN401 - any cell
        if isinstance(named, Mapping):  # the form of Hugging Face's Image feature
            held = image_bytes(named)
            named = held if held is not None else named.get("path")
        if isinstance(named, (bytes, Fault)):
            return named
        if not isinstance(named, str) or not named.strip():
            return None
        held = decoded(named)
        return held if held is not None else self._find(named.strip())

    def by_url(self, url: str) -> Image:
        """Fetch an image."""
        return self._downloads.get(url.strip())


class _Here(ExitStack):
    """Images on disk: at root/path, in an archive below root, or by the last component anywhere below it."""

    def __init__(self, root: Path, source: str) -> None:
        super().__init__()
        self._root = root
        self._pictures = self.enter_context(Pictures(Folder(root), source))

    def __call__(self, name: str) -> Image:
        path = self._root / name.lstrip("/")
        try:
            for place in (path, Path(name)) if name.startswith("/") else (path,):
                if place.is_file():
                    return place
        except OSError:  # no name of a file at all, or a folder that may not be read
            return path
        found = self._pictures.get(name)
        return path if found is None else found


class _Elsewhere(ExitStack):
    """Images in a repository of the Hub: its rows never name a file of this machine."""

    def __init__(self, hf: str, revision: str | None, source: str) -> None:
        super().__init__()
        self._at = hf, revision, source
        self._pictures: Pictures | None = None

    def __call__(self, name: str) -> Image:
        if self._pictures is None:
            self._pictures = self.enter_context(Pictures(Repository(*self._at), self._at[2]))
        return self._pictures.get(name)
