"""A small Hub on loopback, for tests: `with HubServer() as hub: hub.add("org/name", {"a.json": b"[]"})`.

It takes uploads, too (hub_uploads.py): by LFS, or, with `hub.lfs = False`, every file within its commit. It knows no Xet.
`hub.cut` ends the connection at a request, before or after it was acted on.

It is read through HF_ENDPOINT, which the client libraries read when they are imported: so what uses it runs in a
process of its own, with `hub.environment`.
"""

import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from hub_uploads import BATCH, OBJECT, Files, Large, Refused, batch, changed, oid, upload_modes

PIECE = 1 << 16
"""Bytes that are sent at a time."""


@dataclass(slots=True)
class Repo:
    """A dataset repository: commits by their hash, the newest last, and the tags that name them."""

    commits: dict[str, Files] = field(default_factory=dict[str, Files])
    tags: dict[str, str] = field(default_factory=dict[str, str])
    gated: bool = False
    private: bool = False
    messages: dict[str, str] = field(default_factory=dict[str, str])
    """The title of each commit that was made through the API."""

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


@dataclass(frozen=True, slots=True)
class Cut:
    """A connection that ends at a request."""

    at: int
    """Which one, from 1."""
    after: bool = False
    """Whether it was acted on; the answer is lost then."""
    lasting: bool = True
    """Whether the later requests fare no better, none of them acted on."""


class HubServer:
    """The part of the Hub's API that readers and writers of datasets use; it counts what it sends."""

    token = "hf_loopback"
    """What a request must bear that sees a private repository, or changes anything."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.asked: list[str] = []
        """Method and path of every request, in order of arrival."""
        self.sent: dict[str, int] = {}
        """Bytes of files sent, by their names."""
        self.objects: dict[str, Large] = {}
        """Large files by their SHA-256, also those that no commit names yet."""
        self.lfs = True
        """Whether data files and pictures go up as large files; if not, every file does within its commit."""
        self.cut: Cut | None = None
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

    @property
    def publisher(self) -> dict[str, str]:
        """The environment of a process that may write here; with Xet left on where no file goes up as a large one."""
        environment = {**self.environment, "HF_TOKEN": self.token}
        if not self.lfs:
            del environment["HF_HUB_DISABLE_XET"]
        return environment

    def add(self, name: str, files: Mapping[str, bytes], *, gated: bool = False) -> Repo:
        """Make a repository with one commit."""
        repo = self.repos[name] = Repo(gated=gated)
        repo.commit(files)
        return repo

    def note(self, request: str) -> int:
        """Write a request down; returns its number, from 1."""
        with self._lock:
            self.asked.append(request)
            return len(self.asked)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Change something while no other request does."""
        with self._lock:
            yield

    def make(self, given: bytes) -> dict[str, Any]:
        """Make a repository, with the commit that the Hub puts into a new one."""
        wish = json.loads(given)
        name = f"{wish['organization']}/{wish['name']}"
        if wish["type"] != "dataset":
            raise Refused(400, f"no such type here: {wish['type']}")
        if name in self.repos:
            raise Refused(409, "You already created this dataset repo")
        repo = self.add(name, {".gitattributes": b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"})
        repo.private = wish.get("visibility") == "private"
        return {"url": f"{self.url}/datasets/{name}", "name": name, "id": name}

    def count(self, name: str, size: int) -> None:
        with self._lock:
            self.sent[name] = self.sent.get(name, 0) + size


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
    do_PUT = do_GET  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Keep quiet."""

    def _answer(self) -> None:
        given = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        number, cut = self.server.hub.note(f"{self.command} {path}"), self.server.hub.cut
        lost = cut is not None and (number == cut.at or (cut.lasting and number > cut.at))
        if lost:
            self.close_connection = True
            if not (cut and cut.after and number == cut.at):
                return
        sink, self.wfile = self.wfile, BytesIO() if lost else self.wfile
        try:
            self._act(path, parse_qs(parts.query), given)
        except Refused as exc:
            self._send(exc.status, {"error": exc.words}, exc.headers)
        finally:
            self.wfile = sink

    def _act(self, path: str, query: dict[str, list[str]], given: bytes) -> None:
        hub = self.server.hub
        if found := _FILE.fullmatch(path):
            self._file(found)
        elif self.command == "PUT" and (found := OBJECT.fullmatch(path)):
            hub.objects[found["sha"]] = Large(given)
            self._send(200, {})
        elif found := BATCH.fullmatch(path):
            self._permit()
            self._send(200, batch(given, hub.objects, hub.url))
        elif path == "/api/validate-yaml":
            self._send(200, {"errors": [], "warnings": []})  # nobody looks at it here
        elif path == "/api/repos/create":
            self._permit()
            with hub.alone():
                made = hub.make(given)
            self._send(200, made)
        elif found := _API.fullmatch(path):
            self._api(found, query, given)
        else:
            self._send(404, {"error": f"no such path: {path}"})

    def _permit(self) -> None:
        """See that the caller may write."""
        if not self._known():
            raise Refused(403, "Forbidden: pass a token with write access")

    def _known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.server.hub.token}"

    def _repo(self, name: str, revision: str | None, *, inside: bool) -> tuple[Repo, str, Files] | None:
        """Find a commit, or send what the Hub says where there is none; of a gated one, anybody may read the facts."""
        repo = self.server.hub.repos.get(name)
        if repo is None or (repo.private and not self._known()):
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
                self._send(200, _info(found["repo"], sha, files, repo))
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
            case "preupload" | "commit" | "tag" as what:
                self._permit()
                with self.server.hub.alone():
                    said = self._change(repo, what, given, files, found)
                self._send(200, said)
            case what:
                self._send(404, {"error": f"no such call: {what}"})

    def _change(
        self, repo: Repo, what: str, given: bytes, files: Files, found: re.Match[str]
    ) -> dict[str, Any]:
        hub = self.server.hub
        if what == "preupload":
            return upload_modes(given, files, lfs=hub.lfs)
        if what == "tag":
            name = json.loads(given)["tag"]
            if name in repo.tags:
                raise Refused(409, f"Tag {name} already exists")
            repo.tags[name] = repo.at(unquote(found["rev"]))[0]  # type: ignore[index]  # it was found before
            return {}
        title, after = changed(given, repo.head, files, hub.objects)
        sha = repo.commit(after)
        repo.messages[sha] = title
        url = f"{hub.url}/datasets/{found['repo']}/commit/{sha}"
        return {"success": True, "commitOid": sha, "commitUrl": url, "hookOutput": ""}

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
        if isinstance(data, Large):
            headers |= {"X-Linked-Etag": f'"{data.sha256}"', "X-Linked-Size": str(len(data))}
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


def _info(name: str, sha: str, files: Files, repo: Repo) -> dict[str, Any]:
    return {
        "id": name,
        "author": name.partition("/")[0],
        "sha": sha,
        "lastModified": "2025-01-01T00:00:00.000Z",
        "createdAt": "2025-01-01T00:00:00.000Z",
        "private": repo.private,
        "gated": "auto" if repo.gated else False,
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
            lfs = {"lfs": data.pointed()} if isinstance(data, Large) else {}
            entries[path] = {"type": "file", "oid": oid(data), "size": len(data), "path": path, **lfs}
    return list(entries.values())


def _wanted(given: bytes, kind: str) -> set[str]:
    """Read the paths that a call asks for, as JSON or as a form."""
    if "json" in kind:
        paths = json.loads(given)["paths"]
        return {paths} if isinstance(paths, str) else set(paths)
    return set(parse_qs(given.decode()).get("paths", []))
