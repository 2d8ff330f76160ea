"""A dataset folder becomes a version on the Hub: one commit, then one tag; until the tag is set, the last one is whole.

Files go up first and belong to no commit yet; the commit names them all, and is made only if `main` is still where it was
looked at; the tag comes last. A run that is cut anywhere is finished by the same command. What the tests hold this to is
the client on a small Hub of their own, by LFS and by plain commits; the transfer by Xet, which the Hub prefers for large
files, is the client's and was not tried.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from vlaa_thinking.edition import Edition
from vlaa_thinking.errors import SetupError
from vlaa_thinking.publishing.making import NOTHING, Job
from vlaa_thinking.publishing.remote import Remote
from vlaa_thinking.publishing.standing import stand
from vlaa_thinking.versions import Version

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vlaa_thinking.publishing.result import Publication


def publish(
    name: str,
    folder: Path | str,
    *,
    version: str,
    public: bool = False,
    onto: str | None = None,
    dry_run: bool = False,
    date: dt.date | None = None,
    watch: Callable[[str], None] | None = None,
) -> Publication:
    """Publish a finished dataset folder as a version of the dataset `name` ("org/name") on the Hub.

    A new dataset is private unless `public`; one that is there stays as it is. `version` is a plain semantic version
    above the last one. `onto` accepts the commit that `main` is at, where it is not that of the last version. `date` is
    the day that card and changelog name: today in UTC without. `watch` gets a line at each stage.

    Raises `OutputError` where the folder is not whole, `SetupError` where the version cannot be published as things
    stand, and `Unfinished` where the connection was cut: the same call then goes on.
    """
    job = Job(
        remote=Remote(name),
        edition=Edition.open(folder),
        version=Version.read(version),
        private=not public,
        date=date or dt.datetime.now(dt.UTC).date(),
        dry_run=dry_run,
        say=watch or (lambda _: None),
    )
    state = job.remote.look()
    if state is None:
        if onto is not None:
            raise SetupError(
                f"there is no {name} on the Hub that this token may see, so no commit {onto} of it"
            )
        return job.make(None, NOTHING)
    standing = stand(job.remote, state, job.edition, job.version, onto)
    if standing.commit is not None:
        return job.finish(state, standing, standing.commit)
    return job.make(state, standing)
