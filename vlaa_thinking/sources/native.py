"""A published set in its native format: Parquet with embedded images, or JSON with images beside it.

Each of the nine sources says what its rows file is called and which column names the image; the rest is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from vlaa_thinking.errors import SetupError
from vlaa_thinking.sources.archive import archives, zip_members
from vlaa_thinking.sources.hub import Stream, image_bytes
from vlaa_thinking.sources.objects import objects
from vlaa_thinking.sources.pictures import Image, Pictures, unzipped
from vlaa_thinking.sources.place import Folder, base, place_of

if TYPE_CHECKING:
    from pathlib import Path

    from vlaa_thinking.sources import Source
    from vlaa_thinking.sources.archive import Archive
    from vlaa_thinking.sources.place import Place

Cells = Mapping[str, Any]
"""One native row, by column."""

Pair = tuple[Cells, Image]
"""A native row and its image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Where a set is read from, as the source's options say."""

    path: str | None
    """A folder below the project; None: the Hub."""
    hf: str
    """The set on the Hub."""
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    """A branch, tag or commit; None: the newest."""


def tabled(
    at: Source, where: Where, *, files: tuple[str, ...], image: str = "image", key: str = ""
) -> Iterator[Pair]:
    """Read a set that is Parquet on the Hub; in a folder it may be that, or JSON with images beside it."""
    if where.path is None:
        stream = Stream(
            where.hf, config=where.config, split=where.split, revision=where.revision, source=at.name
        )
        return ((cells, _embedded(cells.get(image))) for cells in stream)
    place = place_of(at, path=where.path, hf=where.hf, revision=None)
    if _rows_file(place, files) is None and (found := _parquet(place)):
        return ((cells, _embedded(cells.get(image))) for file in found for cells in _parquet_rows(file))
    return filed(at, where, files=files, image=image, key=key)


def filed(
    at: Source,
    where: Where,
    *,
    files: tuple[str, ...],
    image: str = "image",
    key: str = "",
    row_id: Callable[[Cells], str | None] = lambda _: None,
) -> Iterator[Pair]:
    """Read a set whose rows are JSON, with its images beside it, in folders or archives.

    Where `row_id` tells a row's id, the images of rows that are not taken are not read.
    """
    place = place_of(at, path=where.path, hf=where.hf, revision=where.revision)
    rows = rows_of(at, place, files, key=key)
    return _paired(place, at, rows, image, row_id)


def rows_of(at: Source, place: Place, files: tuple[str, ...], *, key: str = "") -> Iterator[Cells]:
    """Read the first of `files` that the place has; "a.zip!b.json" is a file in an archive."""
    words = f'source "{at.name}": '
    found = _rows_file(place, files)
    if found is not None:
        return objects(partial(place.stream, found), words + found, key=key)
    for name in files:
        wanted, _, member = name.rpartition("!")
        for archive in archives(place) if wanted else ():
            if archive.is_zip and base(archive.name) == wanted:
                return _zipped(place, archive, member, words, key)
    raise SetupError(f"{words}there is no {' or '.join(files)} in {place.words}")


def _zipped(place: Place, archive: Archive, member: str, words: str, key: str) -> Iterator[Cells]:
    """Read the rows of a file in a zip file, named by its last component."""
    with unzipped(place, archive, words) as file:
        info = next((info for info in zip_members(file) if base(info.filename) == member), None)
        if info is None:
            raise SetupError(f"{words}there is no {member} in {archive.name}")
        where = f"{words}{archive.name}!{member}"
        yield from objects(lambda: cast(BinaryIO, file.open(info)), where, key=key)


def _rows_file(place: Place, files: tuple[str, ...]) -> str | None:
    """Find a file at its path, or else by its last component; the path that comes first counts."""
    plain = [name for name in files if "!" not in name]
    for name in plain:
        if place.has(name):
            return name
    wanted = {base(name) for name in plain}
    return next((name for name in place.names() if base(name) in wanted), None)


def _paired(
    place: Place, at: Source, rows: Iterator[Cells], image: str, row_id: Callable[[Cells], str | None]
) -> Iterator[Pair]:
    with Pictures(place, at.name) as pictures:
        yield from pictures.paired(rows, image, lambda cells: at.wants(row_id(cells)))


def _parquet(place: Place) -> list[Path]:
    if not isinstance(place, Folder):
        return []
    return [place.root / name for name in place.names() if name.endswith(".parquet")]


def _parquet_rows(file: Path) -> Iterator[Cells]:
    import pyarrow.parquet as pq  # noqa: PLC0415 - heavy

    with pq.ParquetFile(file) as opened:
        for batch in opened.iter_batches(batch_size=64):
            yield from batch.to_pylist()


def _embedded(cell: Any) -> Image:  # noqa: ANN401 - any cell
    if isinstance(cell, Mapping):
        return image_bytes(cell)
    return cell if isinstance(cell, bytes) else None
