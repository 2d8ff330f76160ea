"""One strict reader for TOML files and front matter: an unknown key is an error that names the nearest."""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from vlaa_thinking.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

T = TypeVar("T")

FENCE = "+++"
"""The line before and after a file's front matter."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a file, with what is needed to say where a fault is."""

    file: str
    """As errors name it: the path below the project."""
    name: str
    """Dotted; "" is the file itself."""
    values: dict[str, Any]
    text: str
    """The TOML text the table stands in, for line numbers."""
    first_line: int = 1
    """The line of the file at which `text` starts."""

    def sub(self, key: str) -> Table:
        """Return the table under `key`, empty if there is none."""
        values = self.values.get(key, {})
        if not isinstance(values, dict):
            raise self.error(key, f'"{key}" must be a table')
        return dataclasses.replace(self, name=f"{self.name}.{key}".lstrip("."), values=values)

    def over(self, patch: Mapping[str, Any]) -> Table:
        """Return this table with `patch` laid over it, tables key by key."""
        return dataclasses.replace(self, values=_merge(self.values, patch))

    def without(self, *keys: str) -> Table:
        """Return this table without these keys."""
        return dataclasses.replace(self, values={k: v for k, v in self.values.items() if k not in keys})

    def error(self, key: str, message: str) -> ProjectError:
        """Make the error for a fault at `key`."""
        where = f" in [{self.name}]" if self.name else ""
        return ProjectError(f"{message}{where}", file=self.file, line=self.line(key))

    def line(self, key: str) -> int | None:
        """Find the line of `key` by a scan inside its table (tomllib tells no lines)."""
        here, current = self.first_line, ""
        start: int | None = None
        for number, line in enumerate(self.text.splitlines(), self.first_line):
            header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
            if header:
                current = header[1].replace('"', "").replace("'", "")
                if current == self.name:
                    start = number
                if current == f"{self.name}.{key}".lstrip("."):
                    return number
            elif current == self.name and re.match(rf"""\s*["']?{re.escape(key)}["']?\s*[.=]""", line):
                return number
        return start or (here if self.name == "" else None)

    def unknown(self, key: str, known: Iterable[str]) -> ProjectError:
        """Make the error for a key that nobody reads."""
        return self.error(key, f'unknown key "{key}"{nearest(key, known)}')

    def into(self, cls: type[T]) -> T:
        """Read this table into the dataclass `cls`: its fields are the keys, its types are checked."""
        hints = get_type_hints(cls)
        fields = {f.name.rstrip("_"): f for f in dataclasses.fields(cast(Any, cls)) if f.init}
        for key in self.values:
            if key not in fields:
                raise self.unknown(key, fields)
        given: dict[str, Any] = {}
        for key, field in fields.items():
            if key in self.values:
                given[field.name] = self.convert(key, self.values[key], hints[field.name])
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                raise self.error(key, f'the key "{key}" is missing')
        return cls(**given)

    def convert(self, key: str, value: Any, wanted: Any) -> Any:  # noqa: ANN401, PLR0911 - any value, any type
        """Check `value` for a field of type `wanted` and bring it into that type."""
        if dataclasses.is_dataclass(wanted) and isinstance(value, dict):
            return self.sub(key).into(cast(type[Any], wanted))
        origin, args = get_origin(wanted), get_args(wanted)
        if origin in (Union, types.UnionType):
            return self.convert(key, value, next(a for a in args if a is not type(None)))
        if origin is Literal and value in args:
            return value
        if origin is tuple and isinstance(value, list):
            return tuple(self.convert(key, item, args[0]) for item in value)
        if origin in (dict, Mapping) and isinstance(value, dict):
            if not dataclasses.is_dataclass(args[1]):
                return dict(value)
            table = self.sub(key)
            return {name: table.convert(name, item, args[1]) for name, item in value.items()}
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if isinstance(wanted, type) and type(value) is wanted:
            return value
        raise self.error(key, f'"{key}" must be {_words(wanted)}, not {value!r}')


def read(path: Path, name: str) -> Table:
    """Read a TOML file; `name` is what errors call it."""
    return _parse(text(path, name), name, 1)


def read_front_matter(path: Path, name: str) -> tuple[Table, str]:
    """Read a text file that starts with TOML between two `+++` lines; return the table and the rest."""
    lines = text(path, name).splitlines(keepends=True)
    fences = [n for n, line in enumerate(lines) if line.strip() == FENCE][:2]
    if len(fences) < 2 or fences[0] != 0:
        raise ProjectError(f"front matter between two lines {FENCE} is missing", file=name, line=1)
    table = _parse("".join(lines[1 : fences[1]]), name, 2)
    return table, "".join(lines[fences[1] + 1 :])


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which known word is meant, if one is near; else which there are."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, 1, 0.6)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; known: {', '.join(names)}" if names else ""


def text(path: Path, name: str) -> str:
    """Read a text file; `name` is what errors call it."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ProjectError(
            "the file is missing; `vlaa-thinking init DIR` writes all of them", file=name
        ) from None
    except (OSError, UnicodeDecodeError) as exc:
        raise ProjectError(f"cannot be read: {exc}", file=name) from exc


def _parse(source: str, name: str, first_line: int) -> Table:
    try:
        values = tomllib.loads(source)
    except tomllib.TOMLDecodeError as exc:
        message, _, place = str(exc).partition(" (at line ")
        line = int(place.partition(",")[0]) + first_line - 1 if place else None
        raise ProjectError(f"not valid TOML: {message}", file=name, line=line) from exc
    return Table(name, "", values, source, first_line)


def _merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in patch.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return merged


def _words(wanted: Any) -> str:  # noqa: ANN401 - any type
    plain = {str: "text in quotes", int: "a whole number", float: "a number", bool: "true or false"}
    if get_origin(wanted) is Literal:
        return "one of " + ", ".join(f'"{a}"' for a in get_args(wanted))
    if get_origin(wanted) is tuple:
        return f"a list, each {_words(get_args(wanted)[0])}"
    return plain.get(wanted, "a table")
