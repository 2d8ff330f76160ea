"""A finished dataset to be looked into: its folder, its manifest, its rows a few at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from vlaa_thinking.dataset import CONFIGS
from vlaa_thinking.errors import OutputError
from vlaa_thinking.hub import address, fetch
from vlaa_thinking.places import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyarrow import Schema

RELEASE = "release"
"""The manifest's key for what publishing adds: version, date, and the facts of the files that it changed."""

LOT = 64
"""Rows that are read at a time."""

_COUNT = {"type": "integer", "minimum": 0}
_NUMBER = {"type": "number"}
_TEXT = {"type": "string"}


def _map(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": values}


def _fields(*optional: str, **properties: Any) -> dict[str, Any]:  # noqa: ANN401 - any form
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _or_null(form: Mapping[str, Any]) -> dict[str, Any]:
    return {"anyOf": [form, {"type": "null"}]}


_RATES = _or_null(_fields(rows=_COUNT, mean=_NUMBER, none_right=_COUNT, all_right=_COUNT))
_FIGURES = _fields(
    "reasoning_words", "cues", "verdicts", "teacher_pass_rate", "policy_pass_rate",
    reasoning_words=_or_null(_fields(p10=_NUMBER, p50=_NUMBER, p90=_NUMBER, most=_NUMBER)),
    cues=_fields(by_phrase=_map(_COUNT)),
    verdicts=_map(_COUNT),
    teacher_pass_rate=_RATES,
    policy_pass_rate=_RATES,
)  # fmt: skip
_STEP = _fields(
    step=_TEXT, dropped=_map(_COUNT), failed=_COUNT, **{"in": _COUNT, "out": _COUNT}
)  # fmt: skip
_ANSWERS = dict.fromkeys(("answers", "input_tokens", "output_tokens", "usd"), _or_null(_NUMBER))
_VERIFIER = _fields(check=_TEXT, judge={"type": "boolean"}, tolerance=_NUMBER, **{"pass": _NUMBER})
_FACTS = _fields(bytes=_COUNT, sha256=_TEXT)
_FORM = _fields(
    "models", "project", "licenses", "funnel", "dropped", "sources", "answer_types", "answers", "rules", RELEASE,
    made_by={"const": "vlaa-thinking"},
    version=_TEXT,
    files=_map(_FACTS),
    splits={
        **_map(_map(_fields("figures", rows=_COUNT, figures=_FIGURES))),
        "propertyNames": {"enum": [*CONFIGS]},
    },
    rows=_fields(kept=_COUNT, dropped=_COUNT, failed=_COUNT, **{"in": _COUNT}),
    release=_fields(version=_TEXT, date=_TEXT, built=_map(_or_null(_FACTS))),
    models=_map(_fields("model", name=_TEXT, model=_or_null(_TEXT))),
    project=_map(_TEXT),
    licenses=_map(_TEXT),
    funnel={"type": "array", "items": _STEP},
    dropped=_map(_COUNT),
    sources=_map(_map(_COUNT)),
    answer_types=_map(_map(_COUNT)),
    answers=_map(_fields(**_ANSWERS)),
    rules=_fields(verifiers=_map(_VERIFIER)),
)  # fmt: skip
"""What is read of a manifest, as JSON Schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One state of a dataset."""

    name: str
    """As it was asked for."""
    folder: Path
    manifest: Mapping[str, Any]
    fetched: bool = False
    """Whether the folder is a copy in the Hub client's cache."""

    @classmethod
    def open(cls, place: Path | str) -> Self:
        """Find a dataset by its folder, or as `org/name@v1.0.0` on the Hub, from where it is fetched into a cache.

        Raises `OutputError` where there is none, or no manifest of ours.
        """
        folder = Path(place)
        if folder.is_dir():
            return cls.read(folder, name=str(place))
        named = address(str(place))
        if named is None:
            raise OutputError(
                f"{place} is no folder: name a dataset folder, as `vlaa-thinking build` writes it, "
                "or a version on the Hub, as org/name@v1.0.0"
            )
        return cls.read(fetch(*named), name=str(place), fetched=True)

    @classmethod
    def read(cls, folder: Path, *, name: str, fetched: bool = False) -> Self:
        """Open a folder under another name; raises `OutputError` where it holds no manifest of ours."""
        return cls(name=name, folder=folder, manifest=_manifest_of(folder), fetched=fetched)

    @property
    def beside(self) -> Path:
        """What a file about this dataset is called, without its suffix: beside the folder, or here if it was fetched."""
        if self.fetched:
            return Path(self.name.rpartition("/")[2])
        folder = self.folder.resolve()
        return folder.with_name(folder.name)

    def splits(self) -> Iterator[tuple[str, str, list[Path]]]:
        """Name the splits that have files: config, part, files in order."""
        for config, parts in CONFIGS.items():
            for part in parts:
                files = sorted((self.folder / config).glob(f"{part}-*.parquet"))
                if files:
                    yield config, part, files

    def __str__(self) -> str:
        """Return the name."""
        return self.name


def as_built(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest as `build` wrote it, without what publishing put in."""
    built = {name: value for name, value in manifest.items() if name != RELEASE}
    files = {**manifest["files"], **manifest.get(RELEASE, {}).get("built", {})}
    return {**built, "files": {name: facts for name, facts in sorted(files.items()) if facts is not None}}


def schema_of(file: Path) -> Schema:
    """Return the types of a Parquet file's columns; raises `OutputError` for what is no such file."""
    import pyarrow as pa  # noqa: PLC0415 - heavy
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        return pq.read_schema(file)
    except (OSError, pa.ArrowException) as exc:
        raise unreadable(file, exc) from exc


def read_rows(file: Path, columns: Sequence[str] | None = None) -> Iterator[list[dict[str, Any]]]:
    """Give a Parquet file's rows in lots, all columns or these; raises `OutputError` for what cannot be read."""
    import pyarrow as pa  # noqa: PLC0415 - heavy
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        # What is buffered ahead is kept until the end: a kilobyte and more a row.
        with pq.ParquetFile(file, pre_buffer=False) as opened:
            here = opened.schema_arrow.names
            names = here if columns is None else [name for name in columns if name in here]
            for batch in opened.iter_batches(LOT, columns=names):
                yield batch.to_pylist()
    except (OSError, ValueError, pa.ArrowException) as exc:  # ValueError: bytes that are no text
        raise unreadable(file, exc) from exc


def unreadable(file: Path, exc: Exception) -> OutputError:
    """Say that a file is no Parquet file, or a broken one."""
    return OutputError(f"{file} cannot be read as Parquet: {str(exc).splitlines()[0]}")


def _manifest_of(folder: Path) -> dict[str, Any]:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - heavy
    from jsonschema.exceptions import best_match  # noqa: PLC0415

    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OutputError(f"{folder} holds no {MANIFEST}: it is no finished dataset folder") from None
    except (OSError, ValueError, RecursionError) as exc:
        raise OutputError(f"{path} cannot be read as JSON: {exc}") from exc
    wrong = best_match(Draft202012Validator(_FORM).iter_errors(manifest))
    if wrong is not None:
        raise OutputError(
            f"{path} was not written by vlaa-thinking: at {wrong.json_path}, {wrong.message[:200]}"
        )
    return manifest
