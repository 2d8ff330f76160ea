"""Datasets on the Hub: `org/name@v1.0.0` names one state of one; what its client's errors mean in words."""

from __future__ import annotations

import re
from pathlib import Path

from vlaa_thinking.errors import OutputError, SetupError, Unfinished, VlaaError

ADDRESS = re.compile(r"(?P<name>[\w.-]+/[\w.-]+)@(?P<revision>[^\s@]+)")

MOVED = 412
"""The Hub's status where `main` is no longer at the commit that a new one was to follow."""


def address(place: str) -> tuple[str, str] | None:
    """Read `org/name@v1.0.0`; returns name and revision, None for what is no such address."""
    found = ADDRESS.fullmatch(place)
    return (found["name"], found["revision"]) if found else None


def fetch(name: str, revision: str) -> Path:
    """Return the folder that holds a revision, fetched into the client's cache where it is not there yet.

    Raises `OutputError`, in one sentence, where there is no such revision or the Hub does not give it.
    """
    try:
        return download(name, revision)
    except Exception as exc:
        raise OutputError(f"{name}@{revision} cannot be read from the Hub: {why(exc)}") from exc


def download(name: str, revision: str) -> Path:
    """Do so, and let the client's own errors through."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - heavy

    return Path(snapshot_download(name, repo_type="dataset", revision=revision))


def why(error: BaseException) -> str:
    """Say what stood against a request, and what to do."""
    from huggingface_hub.errors import (  # noqa: PLC0415 - heavy
        GatedRepoError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    match error:
        case GatedRepoError():
            return "it is gated: accept its terms there, and set HF_TOKEN"
        case RepositoryNotFoundError():
            return "there is no such dataset, or it is private: see its name, or set HF_TOKEN"
        case RevisionNotFoundError():
            return "it has no such revision: see its tags there"
        case OfflineModeIsEnabled():
            return "HF_HUB_OFFLINE is set: unset it"
    return " ".join(str(error).split())[:300] or type(error).__name__


def trouble(name: str, error: BaseException) -> VlaaError:
    """Turn an error of the client, while a dataset is written, into ours: mend something, or run it again."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled  # noqa: PLC0415 - heavy

    while isinstance(error, RuntimeError) and error.__cause__ is not None:  # "Error while uploading ..."
        error = error.__cause__
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else None
    if status in (401, 403):
        return SetupError(
            f"the Hub does not let you write {name}: set HF_TOKEN to a token that may ({why(error)})"
        )
    if status == MOVED:
        return SetupError(
            f"somebody else has just changed main of {name}; no version was touched: look at it, and run the command again"
        )
    refused = status is not None and 400 <= status < 500 and status not in (408, 429)
    if refused or isinstance(error, (OfflineModeIsEnabled, ValueError)):
        return SetupError(f"{name} cannot be written to the Hub: {why(error)}")
    return Unfinished(
        f"{name} was not published to the end: {why(error)}; every version there is as it was: run the same command again"
    )
