"""A process that uses the small Hub: calls come as lines of JSON, and what they came to goes back as one.

The client libraries take the Hub's address when they are imported, so it needs a process of its own; many calls share one,
as an import takes a second. Where a connection is cut the client tries again after some seconds: not here.
"""

import datetime as dt
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from datasets import load_dataset
from huggingface_hub import file_download
from huggingface_hub.utils import _http
from typer.testing import CliRunner

import vlaa_thinking
from vlaa_thinking.cli import app
from vlaa_thinking.errors import VlaaError


class HubClient:
    """The process, from outside: `client("publish", "org/name", str(folder), version="1.0.0")`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def __call__(self, what: str, *values: str, **options: Any) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([what, values, options]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process that uses the Hub has ended: see its traceback"
        said: dict[str, Any] = json.loads(line)
        return said


@contextmanager
def hub_client(environment: dict[str, str]) -> Iterator[HubClient]:
    """Start the process; it ends with the block."""
    own = "ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning"  # the client's, at each large file
    command = [sys.executable, "-W", "error", "-W", own, __file__]
    root = str(Path(vlaa_thinking.__file__).parents[1])
    with subprocess.Popen(
        command,
        env={**environment, "PYTHONPATH": root, "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield HubClient(process)
        assert process.stdin
        process.stdin.close()
        assert process.wait(timeout=30) == 0


def _serve() -> None:
    impatient: Any = SimpleNamespace(**{**vars(time), "sleep": lambda _: None})
    for module in (_http, file_download):
        vars(module)["time"] = impatient
    for line in sys.stdin:
        what, values, options = json.loads(line)
        try:
            said = globals()[f"_{what}"](*values, **options)
        except VlaaError as exc:
            said = {"error": type(exc).__name__, "words": str(exc)}
        print(json.dumps(said), flush=True)


def _publish(name: str, folder: str, *, date: str, **options: Any) -> dict[str, Any]:
    lines: list[str] = []
    made = vlaa_thinking.publish(
        name, folder, date=dt.date.fromisoformat(date), watch=lines.append, **options
    )
    return {
        "done": made.done, "commit": made.commit, "tag": made.tag, "private": made.private, "last": made.last,
        "part": made.diff and made.diff.part, "changelog": made.changelog, "files": made.files, "bytes": made.bytes,
        "removed": made.removed, "warnings": made.warnings, "lines": lines,
    }  # fmt: skip


def _load(name: str, config: str, split: str, revision: str) -> dict[str, Any]:
    rows = load_dataset(name, config, split=split, revision=revision)
    pixels = hashlib.sha256(rows[0]["image"].tobytes()).hexdigest()
    return {
        "ids": rows["id"][:],
        "columns": rows.column_names,
        "image": pixels,
        "mode": rows[0]["image"].mode,
    }


def _audit(place: str) -> dict[str, Any]:
    found = vlaa_thinking.audit(place)
    codes = [finding.code for finding in found.findings]
    return {"name": found.name, "rows": dict(found.rows), "codes": codes, "verdicts": found.verdicts}


def _diff(a: str, b: str) -> dict[str, Any]:
    found = vlaa_thinking.diff(a, b)
    return {
        "a": found.a,
        "b": found.b,
        "part": found.part,
        "added": dict(found.added),
        "after": found.after("1.0.0"),
    }


def _cli(*words: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, words)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return {"code": done.exit_code, "out": done.stdout, "err": done.stderr}


if __name__ == "__main__":
    _serve()
