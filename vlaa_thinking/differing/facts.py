"""What two manifests, and the types of two datasets' columns, differ in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vlaa_thinking.edition import as_built, schema_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vlaa_thinking.edition import Edition


def schema_changes(a: Edition, b: Edition) -> tuple[str, ...]:
    """Say what breaks a program that reads A: configs and splits that went, columns that are others."""
    files_a, files_b = ({(c, p): files[0] for c, p, files in edition.splits()} for edition in (a, b))
    told = []
    for config in dict.fromkeys(config for config, _ in files_a):
        of_a, of_b = ({p: f for (c, p), f in files.items() if c == config} for files in (files_a, files_b))
        gone = [part for part in of_a if part not in of_b]
        if not of_b:
            told.append(f"The config `{config}` is gone.")
            continue
        told += [f"The split `{config}/{part}` is gone." for part in gone]
        told += _column_changes(config, next(iter(of_a.values())), next(iter(of_b.values())))
    return tuple(told)


def _column_changes(config: str, a: Path, b: Path) -> list[str]:
    was, now = schema_of(a), schema_of(b)
    told = [f"`{config}` has a new column `{name}`." for name in now.names if name not in was.names]
    told += [f"`{config}` has no column `{name}` any more." for name in was.names if name not in now.names]
    for name in now.names:
        if name in was.names and was.field(name).type != now.field(name).type:
            told.append(f"`{name}` of `{config}` is {now.field(name).type}, and was {was.field(name).type}.")
    return told


def model_changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[str, ...]:
    """Say which roles another model plays, or the same with other settings."""
    was, now = a.get("models", {}), b.get("models", {})
    told = []
    for role in dict.fromkeys((*was, *now)):
        names = [_model_name(models[role]) if role in models else "nobody" for models in (was, now)]
        if names[0] != names[1]:
            told.append(f"The {role} was {names[0]}, and is {names[1]}.")
        elif was.get(role) != now.get(role):
            told.append(f"The {role} is {names[0]} as before, with other settings.")
    return tuple(told)


def _model_name(model: Mapping[str, Any]) -> str:
    return f"`{model.get('model') or model.get('name')}`"


def other_files(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the project's files that are not the same."""
    was, now = a.get("project", {}), b.get("project", {})
    return tuple(sorted(name for name in {*was, *now} if was.get(name) != now.get(name)))


def rest_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a manifest says beside its models, its project's files, its release and the bytes of the data files."""
    built = as_built(manifest)
    rest = {name: value for name, value in built.items() if name not in ("models", "project", "files")}
    return {**rest, "files": {n: f for n, f in built["files"].items() if not n.endswith(".parquet")}}
