"""Loopback servers that speak the batch APIs of OpenAI and Anthropic, for tests, with live calls beside them.

A batch is worked on by the hook that answers live calls. `BatchServer.finish` decides when and how one ends.
"""

import json
import random
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, Literal, cast
from urllib.parse import parse_qs, urlsplit

from chat_server import ChatServer, Reply, say_hello
from messages_server import MessagesServer

BATCH: dict[str, Any] = {"mode": "batch", "batch": {"age": 0.1, "every": 0.02}}
"""A model in batch mode, impatient for tests."""

End = Literal["ended", "expired", "cancelled", "failed"]


@dataclass
class Held:
    """A batch as the server holds it."""

    id: str
    lines: list[dict[str, Any]]
    metadata: dict[str, str]
    created: float = field(default_factory=time.time)
    state: str = "in_progress"
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By custom_id: status and body; what is missing was not worked on."""
    fault: dict[str, str] | None = None
    archived: bool = False
    """Whether its results are kept no longer."""


class Batches:
    """What both servers have in common: it goes beside `ChatServer`."""

    def __init__(self, reply: Callable[[dict[str, Any]], Reply] = say_hello, *, latency: float = 0.0) -> None:
        super().__init__(reply, latency=latency)  # type: ignore[call-arg]
        self.batches: list[Held] = []
        self.auto: End | None = "ended"
        """How a batch ends as soon as it is made; None: when `finish` is called."""
        self.most_bytes = 10_000_000
        self.lists = 0
        """How often the batches were listed."""
        self.creating: Callable[[Held], None] | None = None
        """Called when a batch is made, before its maker hears of it."""
        self.share = 1.0
        """The share of an expired or cancelled batch that was worked on."""
        self.broken: list[Literal["before", "after"]] = []
        """For each batch that comes: whether its maker gets a 500 before it is made, or after."""
        self.charged: list[str] = []
        """The requests that were worked on in batches, without their custom_id: what is paid for."""
        self.usage: list[dict[str, Any]] = []
        """The usage of each of them."""
        self._files: dict[str, bytes] = {}
        self._lock2 = threading.RLock()

    def finish(self, end: End = "ended", *, fault: dict[str, str] | None = None) -> None:
        """End all batches that have not ended."""
        with self._lock2:
            for batch in self.batches:
                if batch.state == "in_progress":
                    self._end(batch, end, fault)

    def _end(self, batch: Held, end: End, fault: dict[str, str] | None = None) -> None:
        lines = list(batch.lines)
        if end == "failed":
            batch.state, batch.fault = "failed", fault
            return
        if end != "ended":
            lines = lines[: round(self.share * len(lines))]
        random.Random(len(self.charged)).shuffle(lines)
        for line in lines:
            body = line.get("body") or line["params"]
            status, _, said = self.answer(body, {})  # type: ignore[attr-defined]
            if status == 200:
                self.charged.append(json.dumps(body, sort_keys=True))
                self.usage.append(json.loads(said)["usage"])
            batch.results[line["custom_id"]] = {"status": status, "body": json.loads(said)}
        batch.state = end

    def made(self, lines: list[dict[str, Any]], metadata: dict[str, str]) -> tuple[int, Any]:
        """Make a batch, and tell of it unless the server is broken."""
        broken = self.broken.pop(0) if self.broken else None
        if broken == "before":
            return 500, {"error": {"message": "broken"}}
        held = self.add(lines, metadata)
        return (500, {"error": {"message": "broken"}}) if broken else (200, self.told(held))

    def told(self, held: Held) -> dict[str, Any]:
        """Tell how far a batch is, in the API's form."""
        raise NotImplementedError

    def add(self, lines: list[dict[str, Any]], metadata: dict[str, str]) -> Held:
        """Make a batch."""
        ids = [line["custom_id"] for line in lines]
        assert len(set(ids)) == len(ids)
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in ids), ids
        with self._lock2:
            held = Held(f"batch_{len(self.batches)}", lines, metadata)
            self.batches.append(held)
            if self.auto:
                self._end(held, self.auto)
        if self.creating:
            self.creating(held)
        return held

    def find(self, name: str) -> Held | None:
        return next((b for b in self.batches if b.id == name), None)


def _page(url: str, batches: list[Held], cursor: str) -> tuple[list[Held], bool]:
    """Give one page of a list, the latest first; at most three a page, so that there are pages."""
    asked = parse_qs(urlsplit(url).query)
    latest = list(reversed(batches))
    if cursor in asked:
        latest = latest[[b.id for b in latest].index(asked[cursor][0]) + 1 :]
    return latest[:3], len(latest) > 3


class OpenAIBatchServer(Batches, ChatServer):
    """`/v1/files` and `/v1/batches`."""

    def other(  # noqa: PLR0911 - a path each
        self, method: str, url: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, Any]:
        path = urlsplit(url).path.removeprefix("/v1")
        match method, path.strip("/").split("/"):
            case "POST", ["files"]:
                if len(body) > self.most_bytes:
                    return 413, {
                        "error": {"message": "the file is too large", "type": "invalid_request_error"}
                    }
                head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
                form = BytesParser(policy=HTTP).parsebytes(head + body)
                parts = {p.get_param("name", header="content-disposition"): p for p in form.iter_parts()}
                assert parts["purpose"].get_content().strip() == "batch"
                name = f"file-{len(self._files)}"
                self._files[name] = cast(bytes, parts["file"].get_payload(decode=True))
                return 200, {"id": name, "object": "file", "bytes": len(body), "created_at": 0, "filename": "x",
                             "purpose": "batch", "status": "processed"}  # fmt: skip
            case "POST", ["batches"]:
                asked = json.loads(body)
                assert asked["endpoint"] == "/v1/chat/completions"
                lines = [json.loads(line) for line in self._files[asked["input_file_id"]].splitlines()]
                assert all(line["url"] == "/v1/chat/completions" for line in lines)
                return self.made(lines, asked["metadata"])
            case "GET", ["batches"]:
                self.lists += 1
                page, more = _page(url, self.batches, "after")
                return 200, {"object": "list", "data": [self.told(b) for b in page], "has_more": more}
            case "GET", ["batches", name] if held := self.find(name):
                return 200, self.told(held)
            case "GET", ["files", name, "content"] if (held := self.find(name[4:])) and not held.archived:
                wanted = name.startswith("out-")
                return 200, "\n".join(json.dumps(line) for ok, line in _lines(held) if ok is wanted)
        return 404, {"error": {"message": f"no such path: {url}"}}

    def told(self, held: Held) -> dict[str, Any]:
        lines = list(_lines(held))
        good = sum(ok for ok, _ in lines)
        state = "completed" if held.state == "ended" else held.state
        over = held.state != "in_progress"
        return {
            "id": held.id,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "input_file_id": "file",
            "created_at": int(held.created),
            "status": state,
            "metadata": held.metadata,
            "errors": {"object": "list", "data": [held.fault]} if held.fault else None,
            "output_file_id": f"out-{held.id}" if over and good else None,
            "error_file_id": f"err-{held.id}" if over and good < len(lines) else None,
            "request_counts": {"total": len(held.lines), "completed": good, "failed": len(lines) - good},
        }


def _lines(held: Held) -> list[tuple[bool, dict[str, Any]]]:
    """Write an ended batch's results in OpenAI's form, each with whether it is a reply."""
    if held.state in {"in_progress", "failed"}:
        return []
    found = []
    for name, result in held.results.items():
        response = {"status_code": result["status"], "request_id": "r", "body": result["body"]}
        found.append((result["status"] == 200, {"custom_id": name, "response": response, "error": None}))
    for line in held.lines:
        if line["custom_id"] not in held.results:
            error = {
                "code": f"batch_{held.state}",
                "message": f"This request was not worked on: {held.state}.",
            }
            found.append((False, {"custom_id": line["custom_id"], "response": None, "error": error}))
    return found


class AnthropicBatchServer(Batches, MessagesServer):
    """`/v1/messages/batches`."""

    def other(self, method: str, url: str, _headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        path = urlsplit(url).path.removeprefix("/v1/messages")
        match method, path.strip("/").split("/"):
            case "POST", ["batches"]:
                if len(body) > self.most_bytes:
                    return 413, {
                        "type": "error",
                        "error": {"type": "request_too_large", "message": "too large"},
                    }
                return self.made(json.loads(body)["requests"], {})
            case "GET", ["batches"]:
                self.lists += 1
                page, more = _page(url, self.batches, "after_id")
                data = [self.told(b) for b in page]
                return 200, {"data": data, "has_more": more, "first_id": data[0]["id"] if data else None,
                             "last_id": data[-1]["id"] if data else None}  # fmt: skip
            case "GET", ["batches", name] if held := self.find(name):
                return 200, self.told(held)
            case "GET", ["batches", name, "results"] if held := self.find(name):
                return 200, "".join(json.dumps(line) + "\n" for line in _results(held))
        return 404, {"type": "error", "error": {"type": "not_found_error", "message": f"no such path: {url}"}}

    def told(self, held: Held) -> dict[str, Any]:
        over = held.state != "in_progress"
        kinds = [line["result"]["type"] for line in _results(held)] if over else []
        stamp = datetime.fromtimestamp(held.created, UTC).isoformat()
        return {
            "id": held.id,
            "type": "message_batch",
            "processing_status": "ended" if over else "in_progress",
            "request_counts": {
                "processing": 0 if over else len(held.lines),
                **{kind: kinds.count(kind) for kind in ("succeeded", "errored", "canceled", "expired")},
            },
            "created_at": stamp,
            "expires_at": stamp,
            "ended_at": stamp if over else None,
            "archived_at": stamp if held.archived else None,
            "cancel_initiated_at": None,
            "results_url": f"{self.url}/v1/messages/batches/{held.id}/results"
            if over and not held.archived
            else None,
        }


def _results(held: Held) -> list[dict[str, Any]]:
    """Write an ended batch's results in Anthropic's form."""
    found = []
    for name, result in held.results.items():
        good = result["status"] == 200
        told = (
            {"type": "succeeded", "message": result["body"]}
            if good
            else {"type": "errored", "error": result["body"]}
        )
        found.append({"custom_id": name, "result": told})
    left = {"expired": "expired", "cancelled": "canceled"}
    found += [
        {"custom_id": line["custom_id"], "result": {"type": left[held.state]}}
        for line in held.lines
        if line["custom_id"] not in held.results
    ]
    return found
