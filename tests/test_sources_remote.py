"""Images by URL: fetched once, bounded, and from public addresses alone; against a real server on loopback."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import native
import pytest

from vlaa_thinking.record import Fault, Row
from vlaa_thinking.sources import Source, remote
from vlaa_thinking.sources.remote import Downloads, _is_public, fetch
from vlaa_thinking.sources.table import read

PICTURE = native.drawn("far")

Answer = Callable[[BaseHTTPRequestHandler], None]


def reply(status: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def cut(handler: BaseHTTPRequestHandler) -> None:
    """Promise more than is sent."""
    reply(200, PICTURE, Content_Length=str(len(PICTURE) + 1000))(handler)


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Send without an end, and without saying how much."""
    handler.send_response(200)
    handler.end_headers()
    with suppress(OSError):
        for _ in range(10_000):
            handler.wfile.write(bytes(1 << 16))


def dripping(handler: BaseHTTPRequestHandler) -> None:
    """Send a byte now and then, so that no single wait is long."""
    handler.send_response(200)
    handler.end_headers()
    with suppress(OSError):
        for _ in range(200):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.02)


def slow(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(0.1)
    reply(200, PICTURE)(handler)


class Web:
    """A web server on loopback, each path answered in its own way; it counts what it was asked."""

    def __init__(self) -> None:
        self.pages: dict[str, Answer] = {
            "/a.png": reply(200, PICTURE),
            "/slow.png": slow,
            "/gone.png": reply(404),
            "/busy.png": reply(503),
            "/cut.png": cut,
            "/endless.png": endless,
            "/drip.png": dripping,
            "/moved.png": reply(302, Location="a.png"),
            "/loop.png": reply(302, Location="/loop.png"),
            "/file.png": reply(302, Location="file:///etc/passwd"),
            "/nowhere.png": reply(302),
        }
        self.asked: list[str] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append(self.path)
                web.pages[self.path.partition("?")[0]](self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def code(found: Path | bytes | Fault) -> str:
    assert isinstance(found, Fault), found
    return found.code


def test_an_image_comes_from_where_its_url_leads(web: Web) -> None:
    assert fetch(f"{web.url}/a.png?size=1", allow_private=True) == PICTURE
    assert fetch(f"{web.url}/moved.png", allow_private=True) == PICTURE
    assert web.asked == ["/a.png?size=1", "/moved.png", "/a.png"]


@pytest.mark.parametrize(
    ("path", "named", "again", "says"),
    [
        ("/gone.png", "missing_image", False, "answered with status 404"),
        ("/busy.png", "image_not_fetched", True, "answered with status 503"),
        ("/cut.png", "image_not_fetched", True, "IncompleteRead"),
        ("/loop.png", "missing_image", False, "is the end of 5 redirects, and one more"),
        ("/file.png", "missing_image", False, "is no address of an image"),
        ("/nowhere.png", "missing_image", False, "redirects, and one more"),
    ],
)
def test_what_gives_no_image_is_a_fault(web: Web, path: str, named: str, again: bool, says: str) -> None:
    found = fetch(web.url + path, allow_private=True)
    assert isinstance(found, Fault)
    assert (found.code, found.again) == (named, again)
    assert says in found.reason
    assert len(web.asked) <= 6


def test_nothing_is_read_beyond_the_bound_in_size(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "MAX_IMAGE_BYTES", 1_000_000)
    assert code(fetch(f"{web.url}/endless.png", allow_private=True)) == "image_too_large"


def test_nothing_is_waited_for_beyond_the_bound_in_time(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "WHOLE", 0.3)
    found = fetch(f"{web.url}/drip.png", allow_private=True)
    assert code(found) == "image_not_fetched"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(remote, "CONNECT", 0.2)
        found = fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/a.png", allow_private=True)
    assert isinstance(found, Fault)
    assert (found.code, found.again) == ("image_not_fetched", True)


def test_a_private_address_is_refused_and_nothing_is_asked(web: Web) -> None:
    found = fetch(f"{web.url}/a.png")
    assert found == Fault(
        code="address_refused",
        reason=f"{web.url}/a.png leads to 127.0.0.1, which is no public address (allow_private_urls)",
    )
    port = web.server.server_port
    for host in ("localhost", "127.1", "0.0.0.0", "[::1]"):
        assert code(fetch(f"http://{host}:{port}/a.png")) == "address_refused", host
    assert web.asked == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True), ("2606:2800:220:1:248:1893:25c8:1946", True), ("8.8.8.8", True),
        ("10.0.0.1", False), ("172.16.3.4", False), ("192.168.0.1", False), ("127.0.0.1", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False),
        ("255.255.255.255", False), ("::1", False), ("fe80::1%eth0", False), ("fd00::1", False),
        ("::ffff:10.0.0.1", False), ("2002:7f00:1::", False), ("64:ff9b::a00:1", False), ("::", False),
    ],
)  # fmt: skip
def test_addresses_that_are_not_the_internets_are_known(address: str, public: bool) -> None:
    assert _is_public(address) == public


def test_a_redirect_is_looked_at_anew(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first host is taken for a public one; where it sends one to is not."""
    real = remote._is_public
    monkeypatch.setattr(remote, "_is_public", lambda a: web.asked == [] or real(a))
    web.pages["/out.png"] = reply(302, Location=f"{web.url}/a.png")
    assert code(fetch(f"{web.url}/out.png")) == "address_refused"
    assert web.asked == ["/out.png"]


@pytest.mark.parametrize(
    "url", ["ftp://example.org/a.png", "http://", "http://[::1", "http://127.0.0.1:99999/a"]
)
def test_what_is_no_url_is_a_fault_of_its_row(url: str) -> None:
    assert code(fetch(url, allow_private=True)) == "missing_image"


def test_a_password_in_a_url_is_not_told(web: Web) -> None:
    host = web.url.removeprefix("http://")
    found = fetch(f"http://user:secret@{host}/gone.png?token=secret", allow_private=True)
    assert isinstance(found, Fault)
    assert "secret" not in found.reason


def test_an_image_is_fetched_once_and_kept(web: Web, tmp_path: Path) -> None:
    url = f"{web.url}/slow.png"
    found: list[Path | bytes | Fault] = []
    for _ in range(2):  # the second time as another build would
        downloads = Downloads(tmp_path / "kept", allow_private=True)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(downloads.get, [url] * 8))
        assert len(set(found)) == 1
        assert isinstance(found[0], Path)
        assert found[0].read_bytes() == PICTURE
    assert web.asked == ["/slow.png"]
    kept = [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    assert kept == [found[0]]
    busy = Downloads(tmp_path / "kept", allow_private=True)
    assert (
        code(busy.get(f"{web.url}/busy.png")) == code(busy.get(f"{web.url}/busy.png")) == "image_not_fetched"
    )
    assert web.asked[1:] == ["/busy.png"] * 2  # what was no reply is asked for again
    assert Downloads(None, allow_private=True).get(f"{web.url}/a.png") == PICTURE


def table(root: Path, rows: list[dict[str, Any]], **options: Any) -> list[Row]:
    (root / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    at = Source(name="mine", root=root, seed=0, downloads=root / "downloads")
    return list(read(at, path="rows.jsonl", **options))


def test_a_table_keeps_its_order_while_images_come_side_by_side(web: Web, tmp_path: Path) -> None:
    native.put(tmp_path, {"near.png": native.drawn("near")})
    web.pages |= {f"/{n}.png": slow for n in range(40)}
    names = [f"{web.url}/{n}.png" if n % 4 else "near.png" for n in range(40)]
    rows = [{"image": name, "question": f"{n}?", "answer": n} for n, name in enumerate(names)]
    found = table(tmp_path, rows, allow_private_urls=True)
    assert [row.question for row in found] == [f"{n}?" for n in range(40)]
    assert all(isinstance(row.image, Path) for row in found)
    assert len(web.asked) == 30


def test_a_table_from_elsewhere_cannot_ask_this_machine(web: Web, tmp_path: Path) -> None:
    rows = [{"image": f"{web.url}/a.png", "question": "?", "answer": 1}]
    (row,) = table(tmp_path, rows)
    assert isinstance(row.image, Fault)
    assert row.image.code == "address_refused"
    assert web.asked == []
