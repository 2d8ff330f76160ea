"""One strict reader for TOML files and front matter: an unknown key is an error that names the nearest."""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import tomllib
import types
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from vlaa_thinking.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

T = TypeVar("T")

FENCE = "+++"
"""The line before and after a file's front matter."""


class _Mismatch(Exception):  # noqa: N818 - never leaves this file
    """A value is not of the type that is wanted."""


_HEADER = re.compile(r"\s*\[{1,2}\s*([^\[\]]+?)\s*\]{1,2}\s*(?:#.*)?$")
_LONG_TEXT = re.compile(r"(\"{3}|'{3}).*?\1", re.DOTALL)


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
    patch: str = ""
    """The table of the same file that was laid over this one; "" if none was."""

    def sub(self, key: str) -> Table:
        """Return the table under `key`, empty if there is none."""
        values = self.values.get(key, {})
        if not isinstance(values, dict):
            raise self.error(key, f'"{key}" must be a table')
        patch = f"{self.patch}.{key}" if self.patch else ""
        return dataclasses.replace(self, name=_join(self.name, key), values=values, patch=patch)

    def over(self, patch: Table) -> Table:
        """Return this table with `patch`, of the same file, laid over it, tables key by key."""
        return dataclasses.replace(self, values=_merge(self.values, patch.values), patch=patch.name)

    def without(self, *keys: str) -> Table:
        """Return this table without these keys."""
        return dataclasses.replace(self, values={k: v for k, v in self.values.items() if k not in keys})

    def error(self, key: str, message: str) -> ProjectError:
        """Make the error for a fault at `key`."""
        table, line = self._place(key)
        where = f"in [{table}], " if table else ""
        return ProjectError(f"{where}{message}", file=self.file, line=line)

    def _place(self, key: str) -> tuple[str, int]:
        """Find the table and the line where `key` stands; if it does not, where its table begins."""
        for table in (self.patch, self.name) if self.patch else (self.name,):
            line = self._line(table, key)
            if line is not None:
                return table, line
        parent, line = self.name, None
        while parent and line is None:
            parent, _, last = parent.rpartition(".")
            line = self._line(parent, last)
        return self.name, line or self.first_line

    def _line(self, table: str, key: str) -> int | None:
        """Find the line of `key` by a scan inside its table (tomllib tells no lines)."""
        text = _LONG_TEXT.sub(lambda long: "\n" * long[0].count("\n"), self.text)
        current = ""
        for number, line in enumerate(text.split("\n"), self.first_line):
            header = _HEADER.match(line)
            if header:
                current = header[1].replace('"', "").replace("'", "")
                if f"{current}.".startswith(f"{_join(table, key)}."):
                    return number
            elif current == table and re.match(rf"""\s*["']?{re.escape(key)}["']?\s*[.=]""", line):
                return number
        return None

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
                self._within(key, given[field.name], field.metadata.get("range"))
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                raise self.error(key, f'the key "{key}" is missing')
        return cls(**given)

    def convert(self, key: str, value: Any, wanted: Any) -> Any:  # noqa: ANN401 - any value, any type
        """Check `value` for a field of type `wanted` and bring it into that type."""
        try:
            return self._converted(key, value, wanted)
        except _Mismatch:
            shown = json.dumps(value, default=str, ensure_ascii=False)
            shown = shown if len(shown) <= 60 else f"{shown[:60]} ..."
            raise self.error(key, f'"{key}" must be {_words(wanted)}, not {shown}') from None

    def _converted(self, key: str, value: Any, wanted: Any) -> Any:  # noqa: ANN401, PLR0911 - any value, any type
        if wanted is Any:
            return value
        if dataclasses.is_dataclass(wanted) and isinstance(value, dict):
            return self.sub(key).into(cast(type[Any], wanted))
        origin, args = get_origin(wanted), get_args(wanted)
        if origin in (Union, types.UnionType):
            return self._converted(key, value, next(a for a in args if a is not type(None)))
        if origin is Literal and any(type(value) is type(a) and value == a for a in args):
            return value
        if origin in (tuple, list) and isinstance(value, list):
            return origin(self._converted(key, item, args[0]) for item in value)
        if origin in (dict, Mapping) and isinstance(value, dict):
            table = self.sub(key)
            return {name: table.convert(name, item, args[1]) for name, item in value.items()}
        if wanted is float and type(value) is int:
            return float(value)
        if isinstance(wanted, type) and type(value) is wanted:
            return value
        raise _Mismatch

    def _within(self, key: str, value: float | None, bounds: tuple[float, float] | None) -> None:
        if value is None or bounds is None or bounds[0] <= value <= bounds[1]:
            return
        words = f"at least {bounds[0]:g}" if bounds[1] == inf else f"between {bounds[0]:g} and {bounds[1]:g}"
        raise self.error(key, f'"{key}" must be {words}, not {value:g}')


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
        return path.read_text(encoding="utf-8-sig")  # a byte order mark, as some editors write it, is no text
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


def _join(table: str, key: str) -> str:
    return f"{table}.{key}" if table else key


def _words(wanted: Any) -> str:  # noqa: ANN401 - any type
    plain = {str: "text in quotes", int: "a whole number", float: "a number", bool: "true or false"}
    origin, args = get_origin(wanted), get_args(wanted)
    if origin in (Union, types.UnionType):
        return _words(next(a for a in args if a is not type(None)))
    if origin is Literal:
        return "one of " + ", ".join(f'"{a}"' for a in args)
    if origin in (tuple, list):
        return f"a list, each item {_words(args[0])}"
    return plain.get(wanted, "a table")
