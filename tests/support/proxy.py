"""A small reverse proxy in threads, which serves another server below a prefix."""

from __future__ import annotations

import re
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal
from urllib.parse import urlsplit

Manner = Literal["strips", "keeps"]
"""What the proxy does with its prefix: removes it silently, or keeps it and names it."""

PREFIX = "/lab/pricetag"
CLOSE = b"Connection: close"
NOT_THERE = b"\r\n".join([b"HTTP/1.1 404 Not Found", b"Content-Length: 0", CLOSE, b"", b""])


class Proxy(socketserver.ThreadingTCPServer):
    """One request per connection; whatever the server sends is passed on as it comes.

    Args:
        upstream: Address of the server.
        manner: What happens to the prefix.
    """

    daemon_threads = True

    def __init__(self, upstream: str, manner: Manner) -> None:
        parts = urlsplit(upstream)
        self.upstream = (parts.hostname or "", parts.port or 80)
        self.manner = manner
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), Request)

    def rewritten(self, head: bytes) -> bytes | None:
        """The head as the server gets it; None for a path outside the prefix."""
        request, *headers = head.split(b"\r\n")
        method, target, version = request.split(b" ")
        path = target.partition(b"?")[0].decode()
        if path != PREFIX and not path.startswith(f"{PREFIX}/"):
            return None
        headers = [line for line in headers if not line.lower().startswith(b"connection:")]
        if self.manner == "strips":
            target = target.removeprefix(PREFIX.encode())
        else:
            headers.append(f"X-Forwarded-Prefix: {PREFIX}".encode())
        return b"\r\n".join([b" ".join([method, target, version]), *headers, CLOSE, b"", b""])


class Request(socketserver.BaseRequestHandler):
    server: Proxy

    def handle(self) -> None:
        """One request of a browser, which may leave before the end."""
        with suppress(OSError):
            head, body = self._read()
            if not head:
                return  # a connection that a browser opened in advance
            rewritten = self.server.rewritten(head)
            if rewritten is None:
                self.request.sendall(NOT_THERE)
                return
            with socket.create_connection(self.server.upstream) as upstream:
                self.server.open.add(upstream)
                upstream.sendall(rewritten + body)
                while chunk := upstream.recv(65536):
                    self.request.sendall(chunk)
                self.server.open.discard(upstream)

    def _read(self) -> tuple[bytes, bytes]:
        received = b""
        while b"\r\n\r\n" not in received:
            chunk: bytes = self.request.recv(65536)
            if not chunk:
                return b"", b""
            received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        declared = re.search(rb"\r\ncontent-length: *(\d+)", head, re.I)
        while declared and len(body) < int(declared[1]):
            body += self.request.recv(65536)
        return head, body


@contextmanager
def proxied(upstream: str, manner: Manner) -> Iterator[str]:
    """The address of the server behind a proxy, without a slash at its end."""
    with Proxy(upstream, manner) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{proxy.server_address[1]}{PREFIX}"
        finally:
            proxy.shutdown()
            thread.join()
            for connection in list(proxy.open):  # streams that nobody reads any more
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
