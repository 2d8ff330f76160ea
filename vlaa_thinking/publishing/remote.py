"""One dataset repository on the Hub: what stands there, and the four calls that change it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlaa_thinking.edition import Edition
from vlaa_thinking.errors import OutputError, SetupError, VlaaError
from vlaa_thinking.hub import download, trouble
from vlaa_thinking.places import MANIFEST
from vlaa_thinking.versions import Version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from huggingface_hub import CommitOperationAdd

HUB_S_OWN = ".gitattributes"
"""What the Hub puts into a new repository; no version removes it."""

KIND = "dataset"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What stands in a repository."""

    head: str
    """The commit of `main`."""
    files: tuple[str, ...]
    """Those of `main`."""
    versions: frozenset[Version]
    """Those that have a tag."""
    private: bool


class Remote:
    """The repository of one dataset; its methods raise `SetupError` or `Unfinished`, in one sentence."""

    def __init__(self, name: str) -> None:
        """Name the repository; nothing is asked yet."""
        from huggingface_hub import HfApi  # noqa: PLC0415 - heavy
        from huggingface_hub.errors import HFValidationError  # noqa: PLC0415
        from huggingface_hub.utils._validators import validate_repo_id  # noqa: PLC0415

        self.name = name
        try:
            validate_repo_id(name)
        except HFValidationError as exc:
            raise SetupError(f'"{name}" is no name of a dataset: {" ".join(str(exc).split())}') from exc
        if name.count("/") != 1:
            raise SetupError(f'"{name}" is no name of a dataset: write it as ORG/NAME')
        self._api = HfApi()

    def look(self) -> State | None:
        """Ask what stands there; None where there is no such repository, or none that this token may see."""
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError  # noqa: PLC0415 - heavy

        with self._asked():
            try:
                found = self._api.dataset_info(self.name)
            except GatedRepoError:
                raise
            except RepositoryNotFoundError:
                return None
            tags = self._api.list_repo_refs(self.name, repo_type=KIND).tags
        if not found.sha:
            raise SetupError(f"{self.name} has no commit yet: delete it on the Hub, or commit a file there")
        versions = frozenset(version for tag in tags if (version := Version.of_tag(tag.name)))
        return State(
            head=found.sha,
            files=tuple(sibling.rfilename for sibling in found.siblings or ()),
            versions=versions,
            private=bool(found.private),
        )

    def commit_of(self, version: Version) -> str:
        """Return the commit that a version's tag leads to, also where the tag is an object of its own."""
        with self._asked():
            found = self._api.dataset_info(self.name, revision=version.tag).sha
        assert found, "a revision that is found has a commit"
        return found

    def manifest(self, commit: str) -> Mapping[str, Any] | None:
        """Return the manifest of a commit; None where it has none of ours."""
        from huggingface_hub.errors import RemoteEntryNotFoundError  # noqa: PLC0415 - heavy

        with self._asked():
            try:
                path = self._api.hf_hub_download(self.name, MANIFEST, repo_type=KIND, revision=commit)
            except RemoteEntryNotFoundError:
                return None
        try:
            return Edition.read(Path(path).parent, name=f"{self.name}@{commit}", fetched=True).manifest
        except OutputError:
            return None

    def fetch(self, commit: str) -> Path:
        """Return the folder that holds a commit, fetched where it is not in the cache."""
        with self._asked():
            return download(self.name, commit)

    def create(self, *, private: bool) -> None:
        """Make the repository."""
        with self._asked():
            self._api.create_repo(self.name, repo_type=KIND, private=private)

    def upload(self, folder: Path) -> list[CommitOperationAdd]:
        """Send what the Hub does not have yet of a staged folder's files; they belong to no commit so far.

        A file that is there already, from a run that was cut, is not sent again; each is read a piece at a time.
        """
        from huggingface_hub import CommitOperationAdd  # noqa: PLC0415 - heavy

        facts = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        files = [CommitOperationAdd(file, folder / file) for file in (*facts, MANIFEST)]
        with self._asked():
            # No .gitignore of theirs: a file that it names would be left out of the commit without a word.
            self._api.preupload_lfs_files(
                self.name, files, repo_type=KIND, free_memory=False, gitignore_content=""
            )
        for file in files:
            known = facts.get(file.path_in_repo)
            if known and file.upload_info.is_hashed and file.upload_info.sha256.hex() != known["sha256"]:
                raise OutputError(
                    f"{file.path_in_repo} changed while it was sent: run the same command again"
                )
        return files

    def commit(
        self, files: list[CommitOperationAdd], *, onto: str, removed: tuple[str, ...], title: str, text: str
    ) -> str:
        """Make one commit of all files, if `main` is at the commit `onto` still; returns the new one."""
        from huggingface_hub import CommitOperationDelete  # noqa: PLC0415 - heavy

        gone = [CommitOperationDelete(path, is_folder=False) for path in removed]
        with self._asked():
            made = self._api.create_commit(
                self.name,
                [*files, *gone],
                commit_message=title,
                commit_description=text,
                repo_type=KIND,
                parent_commit=onto,
            )
        return made.oid

    def tag(self, version: Version, commit: str) -> None:
        """Name a commit a version; from then on it is one."""
        with self._asked():
            self._api.create_tag(
                self.name, tag=version.tag, revision=commit, repo_type=KIND, tag_message=f"Version {version}"
            )

    @contextmanager
    def _asked(self) -> Iterator[None]:
        from httpx2 import HTTPError  # noqa: PLC0415 - comes with huggingface_hub

        try:
            yield
        except VlaaError:
            raise
        except (OSError, HTTPError, RuntimeError, ValueError) as exc:
            raise trouble(self.name, exc) from exc
