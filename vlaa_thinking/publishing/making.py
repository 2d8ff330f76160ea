"""One version on its way: staged, sent, committed, tagged; or only tagged, where the rest was done before a cut."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vlaa_thinking.changes import CHANGELOG, first_entry
from vlaa_thinking.differing import compare
from vlaa_thinking.edition import Edition
from vlaa_thinking.errors import SetupError, Unfinished
from vlaa_thinking.publishing.remote import HUB_S_OWN
from vlaa_thinking.publishing.result import Publication
from vlaa_thinking.publishing.staging import entry_added, stage
from vlaa_thinking.publishing.standing import DIGITS, Standing, stand
from vlaa_thinking.publishing.terms import doubts

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable

    from vlaa_thinking.differing import Diff
    from vlaa_thinking.publishing.remote import Remote, State
    from vlaa_thinking.publishing.result import Done
    from vlaa_thinking.versions import Version

NOTHING = Standing(last=None, last_commit=None, commit=None, tagged=False)
"""Where a dataset stands that there is not yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One version on its way."""

    remote: Remote
    edition: Edition
    version: Version
    private: bool
    date: dt.date
    dry_run: bool
    say: Callable[[str], None]

    def finish(self, state: State, standing: Standing, commit: str) -> Publication:
        """Set the tag that a commit waits for, if it does."""
        done: Done = "nothing" if standing.tagged else "dry run" if self.dry_run else "tagged"
        if done == "tagged":
            self.say(f"Commit {commit[:DIGITS]} holds it already: only the tag {self.version.tag} is set.")
            self.remote.tag(self.version, commit)
        return self._told(done, standing, state, commit)

    def make(self, state: State | None, standing: Standing) -> Publication:
        """Make the version: stage, send, commit, tag."""
        last = self._last(standing)
        found = compare(last, self.edition) if last else None
        if found is not None and found.part is None:
            raise SetupError(f"{self.edition} holds just what {last} holds: there is nothing to publish")
        warnings = (*doubts(self.edition.manifest), *self._wrong_number(standing, found))
        for line in warnings:
            self.say(f"warning: {line}")
        entry = found.changelog() if found else first_entry(self.edition.manifest)
        with tempfile.TemporaryDirectory(prefix="vlaa-thinking-publish-") as room:
            staged = Path(room)
            stage(
                self.edition,
                staged,
                name=self.remote.name,
                version=self.version,
                date=self.date,
                changelog=entry_added(_changelog(last), self.version, self.date, entry),
            )
            if self.dry_run:
                commit = None
            else:
                state = state or self._create()
                commit = self._send(staged, state, entry)
            sizes = {p.relative_to(staged).as_posix(): p.stat().st_size for p in _files(staged)}
        told = self._told("dry run" if commit is None else "published", standing, state, commit)
        return replace(
            told,
            diff=found,
            changelog=entry,
            files=len(sizes),
            bytes=sum(sizes.values()),
            removed=_removed(state, sizes),
            warnings=warnings,
        )

    def _last(self, standing: Standing) -> Edition | None:
        """Open the last version, if it is one of ours."""
        if standing.last is None or standing.last_commit is None:
            return None
        if self.remote.manifest(standing.last_commit) is None:
            return None
        self.say(f"Looking at {standing.last.tag}, the last version.")
        folder = self.remote.fetch(standing.last_commit)
        return Edition.read(folder, name=f"{self.remote.name}@{standing.last.tag}", fetched=True)

    def _wrong_number(self, standing: Standing, found: Diff | None) -> tuple[str, ...]:
        """Say if the version raises a smaller part than what is different asks for."""
        if found is None or found.part is None or standing.last is None:
            return ()
        due = standing.last.after(found.part)
        if self.version >= due:
            return ()
        return (
            f"What is different makes a {found.part} version, {due} at least; {self.version} was asked for.",
        )

    def _create(self) -> State:
        self.say(f"Making the {'private' if self.private else 'public'} dataset {self.remote.name}.")
        self.remote.create(private=self.private)
        state = self.remote.look()
        if state is None:
            raise Unfinished(
                f"{self.remote.name} was made and cannot be seen yet: run the same command again"
            )
        stand(self.remote, state, self.edition, self.version, None)  # it might not be the one just made
        return state

    def _send(self, staged: Path, state: State, entry: str) -> str:
        names = [path.relative_to(staged).as_posix() for path in _files(staged)]
        total = sum(path.stat().st_size for path in _files(staged))
        self.say(f"Sending what the Hub does not have yet of {len(names):,} files, {total:,} bytes.")
        files = self.remote.upload(staged)
        title = f"Version {self.version}"
        commit = self.remote.commit(
            files, onto=state.head, removed=_removed(state, names), title=title, text=entry
        )
        self.say(f"Commit {commit[:DIGITS]} is made; setting the tag {self.version.tag}.")
        self.remote.tag(self.version, commit)
        return commit

    def _told(self, done: Done, standing: Standing, state: State | None, commit: str | None) -> Publication:
        last = standing.last if standing.last != self.version else None
        return Publication(
            name=self.remote.name,
            version=str(self.version),
            done=done,
            commit=commit,
            private=state.private if state else self.private,
            last=str(last) if last else None,
        )


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def _removed(state: State | None, names: Iterable[str]) -> tuple[str, ...]:
    """Name the files of `main` that the version does not hold."""
    return tuple(sorted(set(state.files) - set(names) - {HUB_S_OWN})) if state else ()


def _changelog(last: Edition | None) -> str | None:
    path = last.folder / CHANGELOG if last else None
    return path.read_text(encoding="utf-8") if path and path.exists() else None
