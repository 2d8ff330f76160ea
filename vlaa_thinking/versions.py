"""The versions of a dataset: plain semantic ones, each a tag `v1.0.0` on the Hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Self

from vlaa_thinking.errors import SetupError

Part = Literal["major", "minor", "patch"]

_NUMBER = r"(0|[1-9][0-9]{0,8})"
_PLAIN = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}")


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """Three numbers; the order is that of semantic versions."""

    major: int
    minor: int
    patch: int

    @classmethod
    def read(cls, text: str) -> Self:
        """Read "1.0.0"; raises `SetupError` for anything else, such as "v1.0.0" or "1.0.0rc1"."""
        found = _PLAIN.fullmatch(text)
        if found is None:
            raise SetupError(f'"{text}" is no version: write it as 1.0.0')
        return cls(*map(int, found.groups()))

    @classmethod
    def of_tag(cls, tag: str) -> Self | None:
        """Read "v1.0.0"; None for a tag that names no version."""
        return cls.read(tag[1:]) if tag.startswith("v") and _PLAIN.fullmatch(tag[1:]) else None

    @property
    def tag(self) -> str:
        """Its name on the Hub."""
        return f"v{self}"

    def after(self, part: Part | None) -> Version:
        """Return the version that raises a part; this one for None."""
        following = {
            "major": Version(self.major + 1, 0, 0),
            "minor": Version(self.major, self.minor + 1, 0),
            "patch": Version(self.major, self.minor, self.patch + 1),
        }
        return following[part] if part else self

    def __str__(self) -> str:
        """Write it as it is read."""
        return f"{self.major}.{self.minor}.{self.patch}"
