"""A small Hub on loopback, for tests: `with HubServer() as hub: hub.add("org/name", {"a.json": b"[]"})`.

It is read through HF_ENDPOINT, which the client libraries read when they are imported: so what uses it runs in a
process of its own, with `hub.environment`.
"""

import hashlib
import json
import os
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

Files = dict[str, bytes]

PIECE = 1 << 16
"""Bytes that are sent at a time."""


@dataclass(slots=True)
class Repo:
    """A dataset repository: commits by their hash, the newest last, and the tags that name them."""

    commits: dict[str, Files] = field(default_factory=dict[str, Files])
    tags: dict[str, str] = field(default_factory=dict[str, str])
    gated: bool = False

    @property
    def head(self) -> str:
        return next(reversed(self.commits))

    def commit(self, files: Mapping[str, bytes]) -> str:
        """Add a commit that holds exactly these files; returns its hash."""
        parts = [str(len(self.commits)), *(f"{n}:{oid(data)}" for n, data in sorted(files.items()))]
        sha = hashlib.sha1("\n".join(parts).encode()).hexdigest()
        self.commits[sha] = dict(sorted(files.items()))
        return sha

    def at(self, revision: str) -> tuple[str, Files] | None:
        """Return the commit that a branch, a tag or a hash names, and its files."""
        sha = self.head if revision in ("main", "refs/heads/main") else self.tags.get(revision, revision)
        return (sha, self.commits[sha]) if sha in self.commits else None


class HubServer:
    """The part of the Hub's API that readers of datasets use; it counts what it sends."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.asked: list[str] = []
        """Method and path of every request, in order of arrival."""
        self.sent: dict[str, int] = {}
        """Bytes of files sent, by their names."""
        self._lock = threading.Lock()
        self._http = _Server(self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), name="hub-server")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.hang_up()
        self._http.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a process that is to use this Hub has in its environment, beside all that this one has."""
        offline = {"HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"}
        kept = {name: value for name, value in os.environ.items() if name not in offline}
        return {**kept, "HF_ENDPOINT": self.url, "HF_HUB_DISABLE_XET": "1"}

    def add(self, name: str, files: Mapping[str, bytes], *, gated: bool = False) -> Repo:
        """Make a repository with one commit."""
        repo = self.repos[name] = Repo(gated=gated)
        repo.commit(files)
        return repo

    def note(self, request: str) -> None:
        with self._lock:
            self.asked.append(request)

    def count(self, name: str, size: int) -> None:
        with self._lock:
            self.sent[name] = self.sent.get(name, 0) + size


def oid(data: bytes) -> str:
    """Hash a file as git does."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Server(ThreadingHTTPServer):
    """Threads that end with the server: their open connections are shut down, then joined."""

    daemon_threads = False
    block_on_close = True

    def __init__(self, hub: HubServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub
        self._open: set[Any] = set()
        self._lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End every connection that a client keeps alive."""
        with self._lock:
            for request in self._open:
                with suppress(OSError):
                    request.shutdown(2)


_API = re.compile(
    r"/api/datasets/(?P<repo>[^/]+/[^/]+)(?:/(?P<what>[a-z-]+)(?:/(?P<rev>[^/]+)(?:/(?P<path>.*))?)?)?"
)
_FILE = re.compile(r"/datasets/(?P<repo>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<path>.+)")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def finish(self) -> None:
        with suppress(ConnectionError):
            super().finish()

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_GET  # noqa: N815 - the names of the base class
    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Keep quiet."""

    def _answer(self) -> None:
        given = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        self.server.hub.note(f"{self.command} {path}")
        if found := _FILE.fullmatch(path):
            self._file(found)
        elif found := _API.fullmatch(path):
            self._api(found, parse_qs(parts.query), given)
        else:
            self._send(404, {"error": f"no such path: {path}"})

    def _repo(self, name: str, revision: str | None, *, inside: bool) -> tuple[Repo, str, Files] | None:
        """Find a commit, or send what the Hub says where there is none; of a gated one, anybody may read the facts."""
        repo = self.server.hub.repos.get(name)
        if repo is None:
            self._send(401, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            return None
        if repo.gated and inside:
            words = f"Access to dataset {name} is restricted."
            self._send(403, {"error": words}, {"X-Error-Code": "GatedRepo", "X-Error-Message": words})
            return None
        commit = repo.at(unquote(revision or "main"))
        if commit is None:
            self._send(404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})
            return None
        return repo, *commit

    def _api(self, found: re.Match[str], query: dict[str, list[str]], given: bytes) -> None:
        facts = found["what"] in (None, "revision")
        at = self._repo(found["repo"], found["rev"], inside=not facts)
        if at is None:
            return
        repo, sha, files = at
        match found["what"]:
            case None | "revision":
                self._send(200, _info(found["repo"], sha, files, gated=repo.gated))
            case "auth-check":
                self._send(200, {})
            case "tree":
                deep = query.get("recursive", ["false"])[0].lower() in ("true", "1")
                self._tree(files, found["path"] or "", deep=deep)
            case "paths-info":
                wanted = _wanted(given, self.headers.get("Content-Type", ""))
                self._send(200, [e for e in _tree(files, "", deep=True) if e["path"] in wanted])
            case "refs":
                tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": c} for n, c in repo.tags.items()]
                main = {"name": "main", "ref": "refs/heads/main", "targetCommit": repo.head}
                self._send(200, {"branches": [main], "tags": tags, "converts": []})
            case what:
                self._send(404, {"error": f"no such call: {what}"})

    def _tree(self, files: Files, folder: str, *, deep: bool) -> None:
        entries = _tree(files, folder, deep=deep)
        if folder and not entries:
            self._send(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
        else:
            self._send(200, entries)

    def _file(self, found: re.Match[str]) -> None:
        at = self._repo(found["repo"], found["rev"], inside=True)
        if at is None:
            return
        _, sha, files = at
        data = files.get(found["path"])
        if data is None:
            self._send(
                404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": sha}
            )
            return
        headers = {"ETag": f'"{oid(data)}"', "X-Repo-Commit": sha, "Accept-Ranges": "bytes"}
        status, part = 200, data
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted:
            start, end = int(wanted[1]), int(wanted[2] or len(data) - 1)
            status, part = 206, data[start : end + 1]
            headers["Content-Range"] = f"bytes {start}-{start + len(part) - 1}/{len(data)}"
        self._send(status, part, headers, name=found["path"])

    def _send(
        self, status: int, content: Any, headers: Mapping[str, str] | None = None, *, name: str = ""
    ) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        kind = "application/octet-stream" if isinstance(content, bytes) else "application/json"
        self.send_response(status)
        lines = {"Content-Type": kind, "Content-Length": str(len(data)), **(headers or {})}
        for header, value in lines.items():
            self.send_header(header, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        for start in range(0, len(data), PIECE):  # a client may have enough, and hang up
            piece = data[start : start + PIECE]
            self.wfile.write(piece)
            if name:
                self.server.hub.count(name, len(piece))


def _info(name: str, sha: str, files: Files, *, gated: bool) -> dict[str, Any]:
    return {
        "id": name,
        "author": name.partition("/")[0],
        "sha": sha,
        "lastModified": "2025-01-01T00:00:00.000Z",
        "createdAt": "2025-01-01T00:00:00.000Z",
        "private": False,
        "gated": "auto" if gated else False,
        "disabled": False,
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "siblings": [{"rfilename": path} for path in files],
    }


def _tree(files: Files, folder: str, *, deep: bool) -> list[dict[str, Any]]:
    """List the files and folders below a folder."""
    start = f"{folder.rstrip('/')}/" if folder else ""
    entries: dict[str, dict[str, Any]] = {}
    for path, data in files.items():
        if not path.startswith(start):
            continue
        below = path[len(start) :].split("/")
        for depth in range(1, len(below)):
            name = start + "/".join(below[:depth])
            if deep or depth == 1:
                entries[name] = {"type": "directory", "oid": oid(name.encode()), "size": 0, "path": name}
        if deep or len(below) == 1:
            entries[path] = {"type": "file", "oid": oid(data), "size": len(data), "path": path}
    return list(entries.values())


def _wanted(given: bytes, kind: str) -> set[str]:
    """Read the paths that a call asks for, as JSON or as a form."""
    if "json" in kind:
        paths = json.loads(given)["paths"]
        return {paths} if isinstance(paths, str) else set(paths)
    return set(parse_qs(given.decode()).get("paths", []))
