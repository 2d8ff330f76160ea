"""Records become a dataset folder: Parquet splits with embedded images, a card, a manifest written last.

Every file is a function of the recorded answers, the project and the seed: no clock, no host, no count of this
run's calls. Rows are streamed in key order, so memory does not grow with their number.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlaa_thinking.places import MANIFEST, hash_file
from vlaa_thinking.steps.distill import question_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from datasets import Features

    from vlaa_thinking.images import ImageStore
    from vlaa_thinking.record import Record
    from vlaa_thinking.settings import Settings
    from vlaa_thinking.spool import Spool

CONFIGS = {"sft": ("train", "validation"), "rl": ("train", "validation"), "rejected": ("train",)}
"""The configs in the order in which the first that has rows is the default, each with its splits."""

ROW_GROUP_ROWS = 100
"""The viewer reads a row group at a time and refuses more than 300 MB of it."""

ROW_GROUP_BYTES = 64_000_000
"""A row group is closed early where its images come to so many bytes."""

SHARD_BYTES = 500_000_000
"""A file is closed where its images come to so many bytes, as `datasets` does."""

HASH_DIGITS = 16
"""Hex digits of a file's hash that a row names; the manifest has all 64."""


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


def features(config: str) -> Features:
    """Return the typed columns of a config, in the order in which a viewer should show them."""
    from datasets import Features, Image, List, Value  # noqa: PLC0415 - heavy

    text = Value("string")
    turns = List({"role": text, "content": text})
    roles = dict.fromkeys(("captioner", "reasoner", "rewriter", "judge"), text)
    files = dict.fromkeys(DECIDED_BY, text)
    columns: dict[str, Any] = {"image": Image(), "question": text, "answer": text, "answer_type": text}
    if config == "rejected":
        columns |= {"step": text, "code": text, "reason": text, "evidence": text}
    columns |= {"prompt": turns}
    if config == "sft":
        columns |= {"completion": turns}
    columns |= {
        "answers": List(text),
        "choices": List(text),
        "boxes": List(List(Value("float64"))),
        "caption": text,
        "reasoning": text,
        "teacher_reasoning": text,
        "teacher_response": text,
        "score": Value("float64"),
        "score_by": text,
        "score_reason": text,
        "cues": List(text),
        "word_gap": Value("int32"),
        "why": text,
        "id": text,
        "source": text,
        "source_id": text,
        "source_license": text,
        "models": roles,
        "decided_by": files,
        "image_sha256": text,
    }
    return Features(columns)


DECIDED_BY = {
    "caption": "generators/2_caption.md",
    "distill": "generators/3_distill.md",
    "rewrite": "generators/4_rewrite.md",
    "leaks": "verifiers/leaks.toml",
    "verify": "verifiers/5_verify.md",
    "verifier": "verifiers/{answer_type}.toml",
    "cues": "verifiers/cues.toml",
    "curate": "cards/6_curate.toml",
}
"""The files whose hashes a row names, by what they decided."""


def columns(record: Record, why: str | None, settings: Settings) -> dict[str, Any]:
    """Return a record's row, all columns but `image`."""
    gold, score, outcome = record.gold, record.score, record.outcome
    hashes = {
        name: settings.hashes[file.format(answer_type=gold.answer_type)][:HASH_DIGITS]
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
        "prompt": prompt(record, settings),
        "completion": [{"role": "assistant", "content": completion(record)}],
        "answers": list(gold.answers) or None,
        "choices": list(gold.choices) or None,
        "boxes": [list(box) for box in gold.boxes] or None,
        "caption": record.caption,
        "reasoning": record.reasoning,
        "teacher_reasoning": record.teacher_reasoning,
        "teacher_response": record.teacher_response,
        "score": score.value if score else None,
        "score_by": score.how if score else None,
        "score_reason": score.reason if score else None,
        "cues": list(dict.fromkeys(cue.phrase for cue in record.cues)),
        "word_gap": record.word_gap,
        "why": why,
        "id": record.id,
        "source": record.source,
        "source_id": record.source_id,
        "source_license": record.source_license,
        "models": {role: dict(record.models).get(role) for role in settings.roles},
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


def write_splits(folder: Path, spool: Spool, images: ImageStore, settings: Settings) -> list[Split]:
    """Write every split that has rows into `folder`; one without rows gets no file at all."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    splits = []
    for config, parts in CONFIGS.items():
        for part in parts:
            split = _write_split(folder, config, part, spool.rows(config, part), images, settings)
            if split.rows:
                splits.append(split)
    return splits


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest with the size and hash of every other file; it is what says that a folder is whole."""
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": hash_file(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    text = json.dumps({**manifest, "files": files}, indent=2, ensure_ascii=False) + "\n"
    temporary = folder / f"{MANIFEST}.part"
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(folder / MANIFEST)


def _write_split(
    folder: Path,
    config: str,
    part: str,
    rows: Iterator[tuple[Record, str | None]],
    images: ImageStore,
    settings: Settings,
) -> Split:
    shards: list[Path] = []
    writer: _Shard | None = None
    count = arrow_bytes = 0
    names = list(features(config))
    for record, why in rows:
        if writer is None:
            path = folder / config / f"{part}-{len(shards):05d}.part"
            writer = _Shard(path, config)
            shards.append(path)
        row = columns(record, why, settings)
        row["image"] = _image(record, images)
        writer.add({name: row[name] for name in names})
        count += 1
        if writer.image_bytes >= SHARD_BYTES:
            arrow_bytes += writer.close()
            writer = None
    if writer is not None:
        arrow_bytes += writer.close()
    files = [path.with_name(f"{part}-{n:05d}-of-{len(shards):05d}.parquet") for n, path in enumerate(shards)]
    for path, final in zip(shards, files, strict=True):
        path.rename(final)
    return Split(
        config=config,
        part=part,
        rows=count,
        files=tuple(f.relative_to(folder).as_posix() for f in files),
        bytes=sum(f.stat().st_size for f in files),
        arrow_bytes=arrow_bytes,
    )


def _image(record: Record, images: ImageStore) -> dict[str, Any] | None:
    """Return the original bytes and a file name; no path of this machine."""
    picture = record.picture
    if picture is None:
        return None
    suffix = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif"}.get(picture.format, picture.format.lower())
    return {"bytes": images.path(picture.sha256).read_bytes(), "path": f"{picture.sha256[:16]}.{suffix}"}


class _Shard:
    """One Parquet file under way: page index, content-defined chunks, images as they are."""

    def __init__(self, path: Path, config: str) -> None:
        import pyarrow as pa  # noqa: PLC0415 - heavy
        import pyarrow.parquet as pq  # noqa: PLC0415
        from datasets.arrow_writer import get_parquet_column_options  # noqa: PLC0415

        path.parent.mkdir(parents=True, exist_ok=True)
        columns = features(config)
        self._pa = pa
        self._schema = columns.arrow_schema
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            use_content_defined_chunking=True,
            write_page_index=True,
            **get_parquet_column_options(columns, self._schema),
        )
        self._rows: list[dict[str, Any]] = []
        self._pending = 0
        self.image_bytes = 0
        self._arrow_bytes = 0

    def add(self, row: dict[str, Any]) -> None:
        """Add a row; full row groups are written out."""
        size = len(row["image"]["bytes"]) if row["image"] else 0
        self._rows.append(row)
        self._pending += size
        self.image_bytes += size
        if len(self._rows) >= ROW_GROUP_ROWS or self._pending >= ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> int:
        """Write what is left; returns the rows' bytes in memory."""
        self._flush()
        self._writer.close()
        return self._arrow_bytes

    def _flush(self) -> None:
        if self._rows:
            table = self._pa.Table.from_pylist(self._rows, schema=self._schema)
            self._arrow_bytes += table.nbytes
            self._writer.write_table(table)
            self._rows, self._pending = [], 0
