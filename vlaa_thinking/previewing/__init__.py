"""A dataset on one page: a static HTML file that opens from disk, with its numbers and a sample of its rows."""

from __future__ import annotations

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlaa_thinking.columns import COLUMNS
from vlaa_thinking.edition import Edition
from vlaa_thinking.errors import OutputError, SetupError
from vlaa_thinking.plotting import overview
from vlaa_thinking.previewing.pictures import small
from vlaa_thinking.previewing.sample import LONGEST, as_script, choose, read, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vlaa_thinking.previewing.sample import Chosen

MOST_BYTES = 19_500_000
"""Of a page with 500 rows; one with more rows may be larger in proportion."""

LARGEST_IMAGE = 40_000
"""Bytes of an encoded image, however few there are."""

MARK = '<meta name="generator" content="vlaa-thinking preview">'
"""Tells a page of ours, which may be written over, from another file."""

THREADS = 4
"""Images that are encoded at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A page that was written."""

    file: Path
    rows: int
    """Rows on it."""
    of: int
    """Rows of the dataset."""
    bytes: int


def preview(folder: Path | str, *, out: Path | str | None = None, rows: int = 500) -> Preview:
    """Write a dataset's preview: one HTML file with the funnel, the cost, plots, and a sample of at most `rows` rows.

    The sample holds rows of every split, source and reason. Without `out`, the file lies beside the folder, as
    FOLDER.html. Raises `OutputError` where `folder` is no dataset folder or the file cannot be written.
    """
    if rows < 1:
        raise SetupError(f"{rows} rows are no preview: ask for one at least")
    edition = Edition.open(folder)
    target = _target(edition, out)
    chosen = choose(edition, rows)
    page = _page(edition, chosen, round(MOST_BYTES * max(1.0, rows / 500)))
    try:
        target.write_bytes(page)
    except OSError as exc:
        raise OutputError(f"{target} cannot be written: {exc.strerror}; name another --out") from exc
    total = sum(split["rows"] for parts in edition.manifest["splits"].values() for split in parts.values())
    return Preview(file=target, rows=len(chosen), of=total, bytes=len(page))


def _target(edition: Edition, out: Path | str | None) -> Path:
    """Say where the page goes: never into the dataset, whose manifest does not know it, nor over what is not ours."""
    folder = edition.folder.resolve()
    target = Path(out) if out is not None else edition.beside.with_name(f"{edition.beside.name}.html")
    if target.resolve().is_relative_to(folder):
        raise OutputError(
            f"{target} would lie in the dataset, whose manifest does not know it: name another --out"
        )
    if target.is_dir():
        raise OutputError(f"{target} is a folder: name a file as --out")
    if target.exists() and MARK.encode() not in target.read_bytes()[:2000]:
        raise OutputError(f"{target} is no preview of ours: name another --out")
    return target


def _page(edition: Edition, chosen: Sequence[Chosen], most: int) -> bytes:
    """Fill in the template: first the texts, then images as large as the room that is left."""
    names = [column.name for column in COLUMNS if column.name != "image"]
    rows, longest = list(read(chosen, names)), LONGEST
    texts = as_script([shown(row, values, longest) for row, values in rows])
    while len(texts.encode()) > most / 2 and longest > 100:
        longest //= 2
        texts = as_script([shown(row, values, longest) for row, values in rows])
    count = len({values["image_sha256"] for _, values in rows}) or 1
    room = int((most - len(texts.encode())) / count * 3 / 4) - 200
    pictures = as_script(dict(_pictures(chosen, min(room, LARGEST_IMAGE))))
    return _render(edition, texts, pictures, len(chosen)).encode()


def _pictures(chosen: Sequence[Chosen], most: int) -> Iterator[tuple[str, str]]:
    """Give the sample's images as data URIs, by their hashes."""
    given: set[str] = set()
    with ThreadPoolExecutor(THREADS) as threads:
        lot: list[tuple[str, bytes]] = []
        for _, values in read(chosen, ["image", "image_sha256"]):
            image, sha256 = values.get("image"), str(values.get("image_sha256"))
            if image and image["bytes"] and sha256 not in given:
                given.add(sha256)
                lot.append((sha256, image["bytes"]))
            if len(lot) == 4 * THREADS:
                yield from _encoded(lot, threads, most)
                lot = []
        yield from _encoded(lot, threads, most)


def _encoded(
    lot: Sequence[tuple[str, bytes]], threads: ThreadPoolExecutor, most: int
) -> Iterator[tuple[str, str]]:
    for (sha256, _), uri in zip(lot, threads.map(lambda one: small(one[1], most), lot), strict=True):
        if uri:
            yield sha256, uri


def _render(edition: Edition, texts: str, pictures: str, count: int) -> str:
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - heavy

    room = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    room.filters["figure"] = _figure
    style, script = _own("page.css"), _own("page.js")
    facts: dict[str, Any] = {
        "m": edition.manifest,
        "name": edition.beside.name,
        "mark": MARK,
        "style": style,
        "script": script,
        "style_hash": _csp_hash(style),
        "script_hash": _csp_hash(script),
        "plots": overview.plots(edition.manifest),
        "cost": overview.cost(edition.manifest),
        "total": sum(
            split["rows"] for parts in edition.manifest["splits"].values() for split in parts.values()
        ),
        "count": count,
        "texts": texts,
        "pictures": pictures,
    }
    return room.from_string(_own("page.html.jinja")).render(facts)


def _own(name: str) -> str:
    return files("vlaa_thinking.previewing").joinpath(name).read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    """Name an inline element for the page's own content security policy, which lets nothing else run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _figure(value: float | None, digits: int = 0) -> str:
    return "not known" if value is None else f"{value:,.{digits}f}"
