"""The errors that leave this package.

    VlaaError
    ├── SetupError            the build cannot start or go on: nothing is lost, mend it and run again   (exit 2)
    │   ├── ProjectError      a project file is wrong: names file, line and key
    │   ├── OutputError       the output folder is in use, or is not ours to replace
    │   └── ModelError        a model cannot be used: no key, wrong address, no answer at all
    ├── Interrupted           the user stopped the build; all that was answered is kept                   (exit 130)
    ├── BudgetReached         the next call could pass the budget; all that was answered is kept          (exit 4)
    ├── Unfinished            the connection was cut while publishing: run the same command again          (exit 3)
    ├── NoReply               one call ended without a reply: its row has failed, this time only         (exit 3)
    └── Transient             one attempt of a call failed in a way that may pass; never leaves `llm/`
        └── Uncharged         and it cost nothing: it never reached the server, or was turned away at the door

A fault of one row is not an error: it is the row's `Outcome`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class VlaaError(Exception):
    """Any error that this package raises on purpose; its text is one sentence for the user."""


class SetupError(VlaaError):
    """The set-up is wrong: project, profile, key, columns, folder or server."""


class ProjectError(SetupError):
    """A file of the project is wrong, at a line where one can be named."""

    def __init__(self, message: str, *, file: Path | str, line: int | None = None) -> None:
        """Put the place before the sentence, as compilers do."""
        place = f"{file}, line {line}" if line else str(file)
        super().__init__(f"{place}: {message}")
        self.file = str(file)
        self.line = line


class OutputError(SetupError):
    """The output folder is used by another build, or holds what `build` did not make."""


class ModelError(SetupError):
    """A model cannot be used as it is set up."""


class Interrupted(VlaaError):  # noqa: N818 - it is no error
    """The user stopped the build."""


class BudgetReached(VlaaError):  # noqa: N818 - a state
    """The next call could take the build past its budget."""


class Unfinished(VlaaError):  # noqa: N818 - a state
    """A publishing was cut short: every version on the Hub is whole, and the same command goes on from there."""


class NoReply(VlaaError):  # noqa: N818 - it names a state of the world, as `StopIteration` does
    """A model gave no reply to one call, after all its tries."""


class Transient(VlaaError):  # noqa: N818 - a state, too
    """One attempt ended without a reply, and another may do better."""

    def __init__(self, message: str, *, retry_after: float | None = None, rate_limited: bool = False) -> None:
        """Keep the server's own word on when to come back, in seconds, and whether rate was the reason."""
        super().__init__(message)
        self.retry_after = retry_after
        self.rate_limited = rate_limited


class Uncharged(Transient):
    """The attempt cost nothing: it never reached the server, or was turned away at the door."""
