"""The answer cache: one SQLite file that holds every finished reply, so that none is paid twice.

The key is the SHA-256 of a canonical form of exactly what decides the answer. The raw reply is committed
before anything reads it: a kill at any moment loses calls in flight and nothing else. A power cut may lose
the last moments' replies, never the file (WAL, `synchronous=NORMAL`).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import zlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vlaa_thinking.errors import SetupError
from vlaa_thinking.llm import Completion, Json, Request

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEME = 1
"""The version of the key's form and of the file's tables."""

_TABLES = """
CREATE TABLE answers (
  key BLOB PRIMARY KEY, api TEXT NOT NULL, status INTEGER NOT NULL, body BLOB NOT NULL, sent TEXT NOT NULL,
  asked BLOB NOT NULL
);
CREATE TABLE images (sha256 BLOB PRIMARY KEY, facts TEXT NOT NULL);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What, beside the request, decides an answer: who is asked, and how images are sent."""

    api: str
    identity: str
    """The model's declared identity; by default its base URL without credentials."""
    resize: Mapping[str, Json]
    """The resize policy with its numbers."""


def canonical(request: Request, address: Address) -> bytes:
    """Write down exactly what decides the answer, always in the same way."""
    messages = [
        {
            "role": m.role,
            "text": m.text,
            "images": [{"sha256": i.sha256, "resize": address.resize} for i in m.images],
        }
        for m in request.messages
    ]
    form = {
        "scheme": SCHEME,
        "api": address.api,
        "identity": address.identity,
        "params": request.params,
        "messages": messages,
        "schema": request.schema,
        "sample": request.sample,
    }
    return json.dumps(form, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


class Cache:
    """An open answer cache. Its methods may be called from any thread."""

    def __init__(self, path: Path) -> None:
        """Open the file, make it if need be; raises `SetupError` if it is no cache of this version."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
            self._open()
        except sqlite3.DatabaseError as exc:
            raise SetupError(f"{path} cannot be used as an answer cache: {exc}") from exc

    def _open(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._db.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version={SCHEME}; COMMIT;")
        elif version != SCHEME:
            self._db.close()
            raise SetupError(
                f"{self.path} is an answer cache of version {version}, this package reads version {SCHEME}; "
                "name another file with --cache, or install the package that wrote it"
            )

    def get(self, asked: bytes) -> Completion | None:
        """Return the reply to a request in canonical form, if it is there."""
        with self._lock:
            row = self._db.execute(
                "SELECT api, status, body, sent FROM answers WHERE key = ?", (_digest(asked),)
            ).fetchone()
        if row is None:
            return None
        api, status, body, sent = row
        return Completion(api=api, status=status, body=zlib.decompress(body), sent=tuple(sent.split()))

    def put(self, asked: bytes, completion: Completion) -> None:
        """Record a finished reply; committed on return."""
        row = (
            _digest(asked),
            completion.api,
            completion.status,
            zlib.compress(completion.body, 1),
            " ".join(completion.sent),
            zlib.compress(asked, 1),
        )
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)", row)

    def image(self, sha256: bytes) -> dict[str, Any] | None:
        """Return what was found out about an image."""
        with self._lock:
            row = self._db.execute("SELECT facts FROM images WHERE sha256 = ?", (sha256,)).fetchone()
        return None if row is None else json.loads(row[0])

    def put_image(self, sha256: bytes, facts: Any) -> None:  # noqa: ANN401 - any dataclass
        """Record what was found out about an image (a dataclass)."""
        with self._lock:
            self._db.execute(
                "INSERT OR REPLACE INTO images VALUES (?, ?)", (sha256, json.dumps(asdict(facts)))
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _digest(asked: bytes) -> bytes:
    return hashlib.sha256(asked).digest()
