"""Where a dataset's repository stands before a version is published: what the new commit may follow, or what is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlaa_thinking.edition import RELEASE, as_built
from vlaa_thinking.errors import SetupError
from vlaa_thinking.publishing.remote import HUB_S_OWN

if TYPE_CHECKING:
    from vlaa_thinking.edition import Edition
    from vlaa_thinking.publishing.remote import Remote, State
    from vlaa_thinking.versions import Version

DIGITS = 12
"""Digits of a commit's hash that are shown."""

LEAST = 7
"""And that `onto` must have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is to be done."""

    last: Version | None
    """The last version."""
    last_commit: str | None
    commit: str | None
    """The commit that holds this very version already; None: it is to be made."""
    tagged: bool
    """Whether the version's tag is set, too."""


def stand(remote: Remote, state: State, edition: Edition, version: Version, onto: str | None) -> Standing:
    """See what a version may follow; raises `SetupError`, naming the commits, where it may follow nothing there."""
    last = max(state.versions, default=None)
    if version in state.versions:
        return _at_tag(remote, edition, version)
    if last is not None and version < last:
        raise SetupError(f"{version} does not follow {last}, the last version of {remote.name}")
    last_commit = remote.commit_of(last) if last else None
    fresh = last is None and set(state.files) <= {HUB_S_OWN}
    unfinished = None
    if not fresh and state.head != last_commit:
        unfinished = _is_of(remote, state.head, edition, version)
        if unfinished:
            return Standing(last=last, last_commit=last_commit, commit=state.head, tagged=False)
    if onto is not None and (len(onto) < LEAST or not state.head.startswith(onto.lower())):
        raise SetupError(
            f"main of {remote.name} is at commit {state.head[:DIGITS]}, not at {onto}: look at what is there"
        )
    if onto is not None or fresh or state.head == last_commit:
        return Standing(last=last, last_commit=last_commit, commit=None, tagged=False)
    what = f"neither {last.tag} ({(last_commit or '')[:DIGITS]})" if last else "neither empty"
    other = (
        f"an unfinished {version.tag} with other contents"
        if unfinished is False
        else "no version of this dataset"
    )
    raise SetupError(
        f"main of {remote.name} is at commit {state.head[:DIGITS]}, which is {what} nor this {version.tag} waiting for "
        f"its tag, but {other}: look at it there; `--onto {state.head[:DIGITS]}` puts {version.tag} on top of it"
    )


def _at_tag(remote: Remote, edition: Edition, version: Version) -> Standing:
    commit = remote.commit_of(version)
    if not _is_of(remote, commit, edition, version):
        raise SetupError(
            f"{remote.name} has a version {version} already (commit {commit[:DIGITS]}), and it is not this one: "
            "a version never changes, so choose the next number"
        )
    return Standing(last=version, last_commit=commit, commit=commit, tagged=True)


def _is_of(remote: Remote, commit: str, edition: Edition, version: Version) -> bool | None:
    """Whether a commit holds just this dataset as this version; None where it holds no such version at all."""
    manifest = remote.manifest(commit)
    if manifest is None or manifest.get(RELEASE, {}).get("version") != str(version):
        return None
    theirs, ours = as_built(manifest), as_built(edition.manifest)
    return bool(theirs["files"] == ours["files"])
