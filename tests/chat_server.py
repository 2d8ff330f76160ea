"""A small OpenAI-compatible server on loopback, for tests: `with ChatServer(reply) as server: ...`."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

Reply = str | dict[str, Any] | tuple[int, dict[str, str], dict[str, Any] | str]
"""What a hook answers: the text; or a message (`content`, `reasoning_content`, `finish_reason`, `usage`); or a
whole response: status, headers, and a body as JSON or as it stands."""


def say_hello(_request: dict[str, Any], /) -> Reply:
    """Answer anything with one word."""
    return "Hello."


class ChatServer:
    """`POST /v1/chat/completions` on 127.0.0.1, answered by a hook; it counts and keeps what it was asked."""

    path = "/v1/chat/completions"

    def __init__(self, reply: Callable[[dict[str, Any]], Reply] = say_hello, *, latency: float = 0.0) -> None:
        self.reply = reply
        self.latency = latency
        self.max_in_flight = 0
        self._requests: list[dict[str, Any]] = []
        self._headers: list[dict[str, str]] = []
        self._errors: list[Exception] = []
        self._in_flight = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._http = _Server(self)
        # The short poll is what `shutdown` waits for.
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), name="chat-server")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.hang_up()
        self._http.server_close()
        self._thread.join()
        if self._errors and error is None:
            raise self._errors[0]

    @property
    def url(self) -> str:
        """The base URL that a client is given."""
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    @property
    def calls(self) -> int:
        """How many replies were asked for, whatever they were answered with."""
        with self._lock:
            return len(self._requests)

    @property
    def in_flight(self) -> int:
        """How many replies are being worked on."""
        with self._lock:
            return self._in_flight

    def settled(self, *, in_flight: bool = False) -> int:
        """Wait until nothing new comes, and all is answered (if to nobody) or held back; returns the calls so far."""
        calls = -1
        while calls != self.calls or (self.in_flight > 0) is not in_flight:
            calls = self.calls
            time.sleep(0.3 if in_flight else 0.1)
        return calls

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The bodies of all calls so far, in order of arrival."""
        with self._lock:
            return list(self._requests)

    @property
    def headers(self) -> list[dict[str, str]]:
        """The headers of all calls so far, names in lower case."""
        with self._lock:
            return list(self._headers)

    def answer(
        self, request: dict[str, Any], headers: Mapping[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        """Note one call, wait as long as the server is slow, and turn the hook's reply into a response."""
        with self._lock:
            number = len(self._requests) + 1
            self._requests.append(request)
            self._headers.append({name.lower(): value for name, value in headers.items()})
            self._in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self._in_flight)
        try:
            self._closing.wait(self.latency)
            reply = self.reply(request)
        except Exception as error:  # noqa: BLE001 - the hook is the test's own: raised again where the server closes
            with self._lock:
                self._errors.append(error)
            reply = 500, {}, _error(f"the test's reply hook raised {error!r}")
        finally:
            with self._lock:
                self._in_flight -= 1
        match reply:
            case (status, extra, body):
                return status, extra, _encoded(body)
            case dict():
                return 200, {}, _encoded(self.form(request, reply, number))
            case str():
                return 200, {}, _encoded(self.form(request, {"content": reply}, number))

    def other(
        self, _method: str, url: str, _headers: dict[str, str], _body: bytes
    ) -> tuple[int, dict[str, Any] | str]:
        """Answer what is no call of a model."""
        return 404, _error(f"no such path: {url}")

    def form(self, request: dict[str, Any], message: dict[str, Any], number: int) -> dict[str, Any]:
        """Put a hook's message into the API's form."""
        return _completion(request, message, number)


class _Server(ThreadingHTTPServer):
    """Threads that end with the server: their open connections are shut down, then joined."""

    daemon_threads = False
    block_on_close = True
    request_queue_size = 256

    def __init__(self, chat: ChatServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.chat = chat
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


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet a response

    def handle(self) -> None:
        with suppress(ConnectionError):  # a client that hung up, for instance after its time-out
            super().handle()

    def finish(self) -> None:
        with suppress(ConnectionError):
            super().finish()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        assert isinstance(self.server, _Server)
        if self.path != self.server.chat.path:
            self._other(body)
            return
        try:
            request = json.loads(body)
        except ValueError as error:
            self._send(400, {}, _encoded(_error(f"not JSON: {error}")))
            return
        self._send(*self.server.chat.answer(request, dict(self.headers.items())))

    def do_GET(self) -> None:
        self._other(b"")

    def _other(self, body: bytes) -> None:
        assert isinstance(self.server, _Server)
        chat = self.server.chat
        status, said = chat.other(self.command, self.path, dict(self.headers.items()), body)
        self._send(status, {}, _encoded(said))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Keep quiet."""

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def _completion(request: dict[str, Any], given: dict[str, Any], number: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": given.get("content")}
    if "reasoning_content" in given:
        message["reasoning_content"] = given["reasoning_content"]
    asked = _tokens(json.dumps(request.get("messages", [])))
    told = _tokens(str(message["content"] or "") + str(message.get("reasoning_content") or ""))
    usage = {"prompt_tokens": asked, "completion_tokens": told, "total_tokens": asked + told}
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request.get("model", ""),
        "choices": [{"index": 0, "message": message, "finish_reason": given.get("finish_reason", "stop")}],
        "usage": given.get("usage", usage),
    }


def _tokens(text: str) -> int:
    return -(-len(text) // 4)  # four characters each, rounded up: plausible, and the same every time


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}


def _encoded(body: dict[str, Any] | str) -> bytes:
    return (body if isinstance(body, str) else json.dumps(body)).encode()
