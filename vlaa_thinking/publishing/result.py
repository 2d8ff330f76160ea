"""What a publishing came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from vlaa_thinking.differing import Diff

Done = Literal["published", "tagged", "nothing", "dry run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What a publishing came to, or would come to."""

    name: str
    """The dataset's, "org/name"."""
    version: str
    """Without the tag's "v"."""
    done: Done
    """A version was "published"; only its tag was missing ("tagged"); it was there ("nothing"); it was a "dry run"."""
    commit: str | None
    """The version's commit; None in a dry run."""
    private: bool
    """Whether the dataset is private on the Hub."""
    last: str | None
    """The version before; None for the first."""
    diff: Diff | None = None
    """What is different from it; None for the first, and where nothing was to be made."""
    changelog: str = ""
    """The version's entry, without its heading; "" where nothing was to be made."""
    files: int = 0
    """Files of the version, the manifest among them; 0 where nothing was to be made."""
    bytes: int = 0
    """And their bytes."""
    removed: tuple[str, ...] = ()
    """Files of `main` that are not part of the version."""
    warnings: tuple[str, ...] = ()
    """What should be looked at, a sentence each."""

    @property
    def tag(self) -> str:
        """The revision to load it by: `load_dataset(name, "sft", revision=tag)`."""
        return f"v{self.version}"
