"""What sources a project has, and what their rows look like: before anything is built or paid."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any

from vlaa_thinking.catalogue.sheet import draw
from vlaa_thinking.errors import SetupError
from vlaa_thinking.sources import About
from vlaa_thinking.sources import Source as At
from vlaa_thinking.sources.place import REACH, on_the_hub
from vlaa_thinking.steps.collect import next_row, open_source, options_of
from vlaa_thinking.toml import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from vlaa_thinking.project import Project
    from vlaa_thinking.record import AnswerType, Row, Way
    from vlaa_thinking.settings import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """What is known of one source of a project."""

    name: str
    """As 1_collect.toml has it."""
    reader: str
    title: str
    """The set's own name; the source's, where the reader states none."""
    license: str
    license_note: str
    way: Way
    place: str
    """"data/clevr_math" (below the project), "org/name on the Hub", or "" where the reader does not say."""
    rows: int | None
    """Questions, about, as the publishers state; None: not stated."""
    size: str
    """What there is to download, in words; "" if it is not stated."""
    answer_types: tuple[AnswerType, ...]
    """Empty: told row by row."""
    reachable: bool | None
    """None: not looked at, or not to be known without reading."""
    reason: str
    """Why it cannot be reached, in one sentence; else ""."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSample:
    """The first rows of a source."""

    name: str
    rows: tuple[Row, ...]
    sheet: Path | None
    """The picture with their images."""


def list_sources(
    project: Project, *, preset: str | None = None, offline: bool = False, timeout: float = REACH
) -> list[SourceFacts]:
    """Say of each source in 1_collect.toml what it is, and whether it can be reached.

    `offline` asks nobody. The Hub is asked for each set once, and has `timeout` seconds to answer. Raises
    `ProjectError` for a project that cannot be read.
    """
    facts = [
        _facts(source, project.root) for source in project.sources(preset)
    ]  # imports readers: not for threads
    if offline:
        return [known for known, _ in facts]
    with ThreadPoolExecutor(max(1, len(facts)), "source") as pool:
        return list(pool.map(lambda pair: _asked(pair[0], pair[1], project.root, timeout), facts))


def show_source(
    project: Project, name: str, *, n: int = 5, sheet: Path | None = None, preset: str | None = None
) -> SourceSample:
    """Read the first `n` rows of a source, and draw their images side by side into the file `sheet`.

    Raises `SetupError` for a source that there is not, that cannot be reached, or that gives no row.
    """
    sources = {source.name: source for source in project.sources(preset)}
    if name not in sources:
        raise SetupError(f'there is no source "{name}" in generators/1_collect.toml{nearest(name, sources)}')
    settings = sources[name]
    opened = open_source(settings, At(name=name, root=project.root, seed=0))
    rows = tuple(islice(_all(opened, settings), n))
    close = getattr(opened, "close", None)
    if close is not None:  # files are open for the rows that were left
        close()
    if not rows:
        raise SetupError(f'source "{name}" gives no rows')
    if sheet is not None:
        draw(rows, sheet)
    return SourceSample(name=name, rows=rows, sheet=sheet)


def _all(opened: Iterator[Row], source: Source) -> Iterator[Row]:
    while (row := next_row(opened, source)) is not None:
        yield row


def _facts(source: Source, root: Path) -> tuple[SourceFacts, Mapping[str, Any]]:
    """Say what is known of a source without asking anybody, and with which options it is read."""
    about = _about(source.reader)
    options = options_of(source, root)
    path, hf = options.get("path"), options.get("hf")
    place = str(path) if path else f"{hf} on the Hub" if hf else ""
    kind = options.get("answer_type")
    stated: tuple[Any, ...] = (kind,) if kind and kind != "auto" else ()
    facts = SourceFacts(
        name=source.name,
        reader=source.reader,
        title=about.title if about else source.name,
        license=source.license,
        license_note=source.license_note,
        way=source.way,
        place=place,
        rows=(about.rows or None) if about else options.get("count"),
        size=about.size if about and not path else "",
        answer_types=about.answer_types if about else stated,
        reachable=None,
        reason="",
    )
    return facts, options


def _about(reader: str) -> About | None:
    if ":" in reader:
        return None
    about = getattr(import_module(f"vlaa_thinking.sources.{reader}"), "ABOUT", None)
    return about if isinstance(about, About) else None


def _asked(facts: SourceFacts, options: Mapping[str, Any], root: Path, timeout: float) -> SourceFacts:
    """Find out whether a source can be reached."""
    reachable, reason = _reached(facts, options, root, timeout)
    return replace(facts, reachable=reachable, reason=reason)


def _reached(
    source: SourceFacts, options: Mapping[str, Any], root: Path, timeout: float
) -> tuple[bool | None, str]:
    """Say whether a source's files are there, without reading them."""
    path, hf = options.get("path"), options.get("hf")
    if path:
        there = (root / path).exists()
        return there, "" if there else f"there is no {path} in {root}"
    if not hf:
        return (True, "") if source.reader == "demo" else (None, "")
    try:
        on_the_hub(hf, options.get("revision"), source.name, timeout=timeout)
    except SetupError as exc:
        return False, str(exc).partition(" from the Hub: ")[2]
    return True, ""


def answer_types_of(rows: tuple[Row, ...]) -> str:
    """Count rows by answer type, in words."""
    counts = Counter(row.answer_type for row in rows)
    return ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
