"""Records become a dataset folder: Parquet splits with embedded images, a card, a manifest written last.

Every file is a function of the recorded answers, the project and the seed: no clock, no host, no count of this
run's calls. Rows are streamed in key order, so memory does not grow with their number.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from vlaa_thinking.arrow import CHUNKING, arrow_schema, parquet_options
from vlaa_thinking.columns import DECIDED_BY, HASH_DIGITS
from vlaa_thinking.figures import Figures
from vlaa_thinking.places import MANIFEST, hash_file
from vlaa_thinking.settings import ALL_ROLES
from vlaa_thinking.steps.question import question_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path
    from types import TracebackType

    from vlaa_thinking.images import ImageStore
    from vlaa_thinking.record import Record
    from vlaa_thinking.settings import Settings
    from vlaa_thinking.spool import Spool

CONFIGS = {"sft": ("train", "validation"), "rl": ("train", "validation"), "rejected": ("train",)}
"""The configs in the order in which the first that has rows is the default, each with its splits."""

ROW_GROUP_ROWS = 100
"""The viewer reads a row group at a time and refuses more than 300 MB of it."""

ROW_GROUP_BYTES = 64_000_000
"""A row group is closed before its images come to more bytes, if it holds more than one."""

SHARD_BYTES = 500_000_000
"""A file is closed after the row group in which its rows come to so many bytes, as `datasets` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """One split as it was written."""

    config: str
    part: str
    rows: int
    files: tuple[str, ...]
    """Names below the folder."""
    bytes: int
    """Of the files."""
    arrow_bytes: int
    """Of the rows in memory, for the card's `dataset_size`."""
    figures: Mapping[str, Any]
    """How hard, how long and how doubtful the rows are: see `figures.Figures`."""


def columns(record: Record, why: str | None, settings: Settings) -> dict[str, Any]:
    """Return a record's row, all columns but `image`."""
    gold, score, outcome = record.gold, record.score, record.outcome
    signals, models = record.caption_signals, dict(record.models)
    replied = record.teacher_response is not None
    first = {cue.phrase: cue.start for cue in reversed(record.cues)} if replied else {}
    cues = sorted(first.items(), key=lambda cue: cue[1])
    hashes = {
        name: settings.hashes.get(file.format(answer_type=gold.answer_type), "")[:HASH_DIGITS] or None
        for name, file in DECIDED_BY.items()
    }
    return {
        "question": record.question,
        "answer": gold.answer,
        "answer_type": gold.answer_type,
        "step": outcome.step if outcome else None,
        "code": outcome.code if outcome else None,
        "reason": outcome.reason if outcome else None,
        "evidence": outcome.evidence if outcome else None,
        "reasoning": record.reasoning,
        "prompt": prompt(record, settings),
        "completion": [{"role": "assistant", "content": completion(record)}],
        "choices": list(gold.choices) or None,
        "answers": list(gold.answers) or None,
        "answer_share": record.answer_share,
        "boxes": [list(box) for box in gold.boxes] or None,
        "caption": record.caption,
        "caption_signals": {name: getattr(signals, name) for name in signals.__slots__} if signals else None,
        "teacher_reasoning": record.teacher_reasoning,
        "teacher_response": record.teacher_response,
        "found_by": record.found_by,
        "teacher_pass_rate": record.teacher_pass_rate,
        "policy_pass_rate": record.policy_pass_rate,
        "score": score.value if score else None,
        "score_by": score.how if score else None,
        "score_reason": score.reason if score else None,
        "judge_score": record.second.value if record.second else None,
        "cues": [phrase for phrase, _ in cues] if replied else None,
        "cue_starts": [start for _, start in cues] if replied else None,
        "word_gap": record.word_gap,
        "word_edits": record.word_edits,
        "why": why,
        "id": record.id,
        "source": record.source,
        "source_id": record.source_id,
        "source_license": record.source_license,
        "models": {role: models.get(role) for role in ALL_ROLES},
        "decided_by": hashes,
        "image_sha256": record.picture.sha256 if record.picture else None,
    }


def prompt(record: Record, settings: Settings) -> list[dict[str, str]]:
    """Return the conversation a model is trained on, up to its own turn; plain text, as TRL takes it."""
    return [
        {"role": "system", "content": settings.curate.system.strip()},
        {"role": "user", "content": question_text(record, settings.verifiers)},
    ]


def completion(record: Record) -> str:
    """Return the assistant's turn: reasoning and answer between their tags."""
    return f"<think>{record.reasoning}</think>\n<answer>{record.answer_text}</answer>"


def write_splits(
    folder: Path,
    spool: Spool,
    images: ImageStore | None,
    settings: Settings,
    *,
    row_group_bytes: int = ROW_GROUP_BYTES,
    shard_bytes: int = SHARD_BYTES,
) -> list[Split]:
    """Write every split that has rows into `folder`; one without rows gets no file. Without `images` none is embedded."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    splits = []
    for config, parts in CONFIGS.items():
        for part in parts:
            figures = Figures()
            rows = _rows(spool.rows(config, part), images, settings, figures)
            shards = list(_shards(folder / config / part, rows, row_group_bytes, shard_bytes))
            if shards:
                splits.append(_split(folder, config, part, shards, figures))
    return splits


def files_told(
    folder: Path, known: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Mapping[str, Any]]:
    """Say of every file of a folder its size and SHA-256, by name; of those that are `known`, what is known."""
    found = known or {}
    paths = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    return {
        name: found.get(name) or {"bytes": path.stat().st_size, "sha256": hash_file(path)}
        for name, path in paths.items()
    }


def write_manifest(
    folder: Path, manifest: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]] | None = None
) -> None:
    """Write the manifest with the size and hash of every other file; it is what says that a folder is whole.

    The files that are `known` by now are not hashed again.
    """
    files = files_told(folder, known)
    text = json.dumps({**manifest, "files": files}, indent=2, ensure_ascii=False) + "\n"
    temporary = folder / f"{MANIFEST}.part"
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(folder / MANIFEST)


def root_of(files: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the one hash that stands for all rows: of what `sha256sum */*.parquet` prints, sorted by name.

    `files` are told as `files_told` does; those that hold no rows are left out.
    """
    lines = [
        f"{told['sha256']}  {name}\n" for name, told in sorted(files.items()) if name.endswith(".parquet")
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _rows(
    rows: Iterable[tuple[Record, str | None]], images: ImageStore | None, settings: Settings, figures: Figures
) -> Iterator[dict[str, Any]]:
    for record, why in rows:
        figures.add(record, settings.verifiers[record.gold.answer_type].pass_)
        yield {**columns(record, why, settings), "image": _image(record, images)}


def _shards(
    stem: Path, rows: Iterator[dict[str, Any]], row_group_bytes: int, shard_bytes: int
) -> Iterator[_Shard]:
    """Write the rows of the split CONFIG/PART file by file; each is given back closed."""
    for number, first in enumerate(rows):
        path = stem.with_name(f"{stem.name}-{number:05d}.part")
        with _Shard(path, stem.parent.name, row_group_bytes) as shard:
            shard.add(first)
            while shard.arrow_bytes < shard_bytes and (row := next(rows, None)) is not None:
                shard.add(row)
        yield shard


def _split(folder: Path, config: str, part: str, shards: Sequence[_Shard], figures: Figures) -> Split:
    """Give the files of a split their names, which say how many there are."""
    files = []
    for number, shard in enumerate(shards):
        name = f"{part}-{number:05d}-of-{len(shards):05d}.parquet"
        files.append(shard.path.rename(shard.path.with_name(name)))
    return Split(
        config=config,
        part=part,
        rows=sum(shard.rows for shard in shards),
        files=tuple(file.relative_to(folder).as_posix() for file in files),
        bytes=sum(file.stat().st_size for file in files),
        arrow_bytes=sum(shard.arrow_bytes for shard in shards),
        figures=figures.told(),
    )


def _image(record: Record, images: ImageStore | None) -> dict[str, Any] | None:
    """Return the original bytes and a file name; no path of this machine."""
    picture = record.picture
    if picture is None or images is None:
        return None
    suffix = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif"}.get(picture.format, picture.format.lower())
    return {"bytes": images.path(picture.sha256).read_bytes(), "path": f"{picture.sha256[:16]}.{suffix}"}


class _Shard:
    """One Parquet file under way: page index, content-defined chunks, images as they are.

    A row group is encoded and written in a thread, one at a time, while the rows of the next are gathered.
    """

    def __init__(self, path: Path, config: str, row_group_bytes: int) -> None:
        import pyarrow as pa  # noqa: PLC0415 - heavy
        import pyarrow.parquet as pq  # noqa: PLC0415

        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.rows = 0
        self.arrow_bytes = 0
        """Of the row groups that are written, or being written."""
        self._pa = pa
        self._schema = arrow_schema(config)
        self._names = self._schema.names
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            use_content_defined_chunking=CHUNKING,
            write_page_index=True,
            **parquet_options(config),
        )
        self._writer.add_key_value_metadata(  # as `push_to_hub` does
            {"content_defined_chunking": json.dumps(CHUNKING)}
        )
        self._most = row_group_bytes
        self._pending: list[dict[str, Any]] = []
        self._pending_bytes = 0
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None

    def __enter__(self) -> Self:
        """Return the open file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left, and close the file."""
        try:
            if error is None:
                self._flush()
                self._settle()
        finally:
            self._thread.shutdown()
            self._writer.close()

    def add(self, row: dict[str, Any]) -> None:
        """Add a row, of which only this config's columns are taken; full row groups are written out."""
        size = len(row["image"]["bytes"]) if row["image"] else 0
        if self._pending_bytes + size > self._most:
            self._flush()
        self._pending.append({name: row[name] for name in self._names})
        self._pending_bytes += size
        if len(self._pending) == ROW_GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            table = self._pa.Table.from_pylist(self._pending, schema=self._schema)
            self._settle()
            self._writing = self._thread.submit(self._writer.write_table, table)
            self.rows += len(self._pending)
            self.arrow_bytes += table.nbytes
            self._pending, self._pending_bytes = [], 0

    def _settle(self) -> None:
        """Wait for the row group under way; raises what went wrong with it."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()
