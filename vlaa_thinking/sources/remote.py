"""Images that rows name by their URL: fetched once, bounded in size and time, and from public addresses alone.

The address that was looked at is the one that is connected to, and each redirect is looked at anew: a set from
elsewhere cannot make a build read what only this machine or its network can reach.
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import os
import re
import socket
import ssl
import threading
import time
from concurrent.futures import Future
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from vlaa_thinking.record import Fault
from vlaa_thinking.sources.archive import MAX_IMAGE_BYTES, TOO_LARGE

if TYPE_CHECKING:
    from pathlib import Path

CONNECT = 10.0
"""Seconds to connect, and between two pieces of a reply."""

WHOLE = 60.0
"""Seconds for one image, redirects and all."""

REDIRECTS = 5

_CHUNK = 1 << 16


class Downloads:
    """Images by their URL, each fetched once and kept in a folder by the hash of its URL."""

    def __init__(self, folder: Path | None, *, allow_private: bool) -> None:
        """Keep images in `folder`; without one, they are given as bytes and fetched by every build."""
        self._folder = folder
        self._allow_private = allow_private
        self._under_way: dict[str, Future[Path | bytes | Fault]] = {}
        self._lock = threading.Lock()

    def get(self, url: str) -> Path | bytes | Fault:
        """Return an image; rows that ask for the same one at the same time share the fetching."""
        with self._lock:
            mine = self._under_way.get(url) is None
            result = self._under_way.setdefault(url, Future())
        if mine:
            try:
                result.set_result(self._got(url))
            except BaseException as exc:
                result.set_exception(exc)
                raise
            finally:
                with self._lock:
                    del self._under_way[url]
        return result.result()

    def _got(self, url: str) -> Path | bytes | Fault:
        if self._folder is None:
            return fetch(url, allow_private=self._allow_private)
        digest = hashlib.sha256(url.encode()).hexdigest()
        path = self._folder / digest[:2] / digest
        if path.exists():
            return path
        data = fetch(url, allow_private=self._allow_private)
        if isinstance(data, Fault):
            return data
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        temporary.write_bytes(data)
        temporary.replace(path)
        return path


def fetch(url: str, *, allow_private: bool = False) -> bytes | Fault:
    """Fetch one image; what stands against it comes back as a fault, and nothing is raised."""
    deadline = time.monotonic() + WHOLE
    for _ in range(REDIRECTS + 1):
        try:
            target = urlsplit(url)
            if target.scheme not in ("http", "https") or not target.hostname:
                return Fault(code="missing_image", reason=f"{_short(url)} is no address of an image")
            reply = _one(target, deadline, allow_private=allow_private)
        except (OSError, http.client.HTTPException) as exc:
            return Fault(
                code="image_not_fetched",
                reason=f"{_short(url)} gave no image: {type(exc).__name__} {exc}".strip(),
                again=True,
            )
        except ValueError as exc:  # a port or a host that is none
            return Fault(code="missing_image", reason=f"{_short(url)} is no address of an image: {exc}")
        if not isinstance(reply, str):
            return reply
        url = urljoin(url, reply)
    return Fault(
        code="missing_image", reason=f"{_short(url)} is the end of {REDIRECTS} redirects, and one more"
    )


def _one(target: SplitResult, deadline: float, *, allow_private: bool) -> bytes | str | Fault:
    """Ask once; returns the image, the place that the reply sends one to, or what is wrong."""
    connection, path = _connection(target, allow_private=allow_private)
    if isinstance(connection, Fault):
        return connection
    try:
        connection.request("GET", path, headers={"User-Agent": _name(), "Accept": "image/*,*/*;q=0.5"})
        response = connection.getresponse()
        status = response.status
        if status in (301, 302, 303, 307, 308):
            return response.getheader("Location") or ""
        if status != 200:
            again = status == 429 or status >= 500
            code = "image_not_fetched" if again else "missing_image"
            reason = f"{_short(target.geturl())} answered with status {status}"
            return Fault(code=code, reason=reason, again=again)
        return _body(response, deadline)
    finally:
        connection.close()


def _body(response: http.client.HTTPResponse, deadline: float) -> bytes | Fault:
    data = bytearray()
    while chunk := response.read1(_CHUNK):
        data += chunk
        if len(data) > MAX_IMAGE_BYTES:
            return TOO_LARGE
        if time.monotonic() > deadline:
            raise TimeoutError(f"it took longer than {WHOLE:.0f} seconds")
    if response.length:  # what was announced and did not come
        raise http.client.IncompleteRead(bytes(data), response.length)
    return bytes(data)


def _connection(
    target: SplitResult, *, allow_private: bool
) -> tuple[http.client.HTTPConnection | Fault, str]:
    """Make a connection to the address that was looked at, or through the environment's proxy."""
    host = target.hostname or ""
    secure = target.scheme == "https"
    port = target.port or (443 if secure else 80)
    path = (target.path or "/") + (f"?{target.query}" if target.query else "")
    proxy = None if proxy_bypass(host) else getproxies().get(target.scheme)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        if proxy is None:
            raise
        found = []  # the proxy may know the name
    addresses = [str(entry[4][0]) for entry in found]
    private = next((a for a in addresses if not _is_public(a)), None)
    if private is not None and not allow_private:
        reason = (
            f"{_short(target.geturl())} leads to {private}, which is no public address (allow_private_urls)"
        )
        return Fault(code="address_refused", reason=reason), path
    if proxy is not None:
        through = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        at = through.hostname or "", through.port or 8080
        if not secure:
            return http.client.HTTPConnection(*at, timeout=CONNECT), target.geturl()
        tunnel = http.client.HTTPSConnection(*at, timeout=CONNECT, context=_tls())
        tunnel.set_tunnel(host, port)
        return tunnel, path
    made = _PinnedTLS if secure else _Pinned
    return made(host, port, addresses[0]), path


class _Pinned(http.client.HTTPConnection):
    """A connection to an address that was looked at before."""

    def __init__(self, host: str, port: int, address: str) -> None:
        super().__init__(host, port, timeout=CONNECT)
        self._address = address

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)


class _PinnedTLS(_Pinned):
    """The same, encrypted, with the certificate held against the name."""

    default_port = 443

    def connect(self) -> None:
        super().connect()
        self.sock = _tls().wrap_socket(self.sock, server_hostname=self.host)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def _is_public(address: str) -> bool:
    """Whether an address is one of the public internet; one that carries another is judged by that."""
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        ip = inner or ip
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _short(url: str) -> str:
    """Shorten a URL, and leave out what may be secret in it."""
    return re.sub(r"//[^/@]*@", "//", re.split(r"[?#]", url)[0])[:120]


def _name() -> str:
    from vlaa_thinking import __version__  # noqa: PLC0415 - the package's own, when it is whole

    return f"vlaa-thinking/{__version__}"
