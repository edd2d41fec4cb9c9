"""Limits on connections and bodies, on a real server."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from app import errors, serving
from app.edge import bodies, connections

MAX_BYTES = 1_000


def small_app() -> FastAPI:
    app = FastAPI()

    @app.post("/echo")
    async def echo(request: Request) -> int:
        return len(await request.body())

    @app.get("/slow")
    async def slow() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(4):
                await asyncio.sleep(0.2)
                yield b"x"

        return StreamingResponse(parts())

    errors.install(app)
    app.add_middleware(bodies.BodyLimit, max_bytes=MAX_BYTES, timeout_s=0.6)
    return app


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.4)
    monkeypatch.setattr(connections, "MAX_WAITING", 8)
    config = uvicorn.Config(
        small_app(), log_config=None, lifespan="off", **connections.options(1_000)
    )
    server = uvicorn.Server(config)
    with serving.bind("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield listener.getsockname()
        server.should_exit = True
        thread.join(10)


def opened(address: tuple[str, int]) -> socket.socket:
    connection = socket.create_connection(address, timeout=60)
    connection.settimeout(60)
    return connection


def is_closed(connection: socket.socket) -> bool:
    """Whether the server ends it within the socket's timeout, after what it may still send."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        return True
    return True


def trickle(connection: socket.socket, seconds: float) -> None:
    deadline_s = time.monotonic() + seconds
    while time.monotonic() < deadline_s:
        connection.sendall(b"G")
        time.sleep(0.05)


def posted(body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (size, body)


def status(connection: socket.socket) -> int:
    return int(connection.recv(4096).split()[1])


def test_a_connection_without_a_request_is_closed(address: tuple[str, int]) -> None:
    with opened(address) as connection:
        assert is_closed(connection)


def test_a_connection_that_sends_its_head_byte_by_byte_is_closed(address: tuple[str, int]) -> None:
    with opened(address) as connection, pytest.raises((ConnectionResetError, BrokenPipeError)):
        trickle(connection, 60)


def test_the_second_head_on_a_connection_has_a_deadline_too(address: tuple[str, int]) -> None:
    with opened(address) as connection:
        connection.sendall(posted(b"abc"))
        assert status(connection) == 200
        connection.sendall(b"POST /ec")
        assert is_closed(connection)


def test_the_oldest_of_too_many_waiting_connections_is_closed(
    address: tuple[str, int],
) -> None:
    idle = [opened(address) for _ in range(9)]
    try:
        with opened(address) as connection:
            connection.sendall(posted(b"abc"))
            assert status(connection) == 200
        idle[0].settimeout(60)
        assert is_closed(idle[0])
    finally:
        for connection in idle:
            connection.close()


def test_a_response_may_take_longer_than_a_head(address: tuple[str, int]) -> None:
    with opened(address) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = b""
        while part := connection.recv(4096):
            received += part
    assert received.count(b"1\r\nx\r\n") == 4


@pytest.mark.parametrize("declared", [MAX_BYTES + 1, 10**12])
def test_a_body_that_is_declared_too_large_is_rejected_before_it_arrives(
    address: tuple[str, int], declared: int
) -> None:
    with opened(address) as connection:
        connection.sendall(posted(b"", declared))
        assert status(connection) == 413


def test_a_chunked_body_is_rejected_once_it_is_too_large(address: tuple[str, int]) -> None:
    chunk = b"190\r\n" + b"x" * 400 + b"\r\n"
    with opened(address) as connection:
        connection.sendall(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 3
        )
        received = connection.recv(4096)
        while b"body-too-large" not in received:
            received += connection.recv(4096)
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"413" in head.split(b"\r\n")[0]
    assert json.loads(body)["code"] == "body-too-large"


def test_a_body_that_arrives_too_slowly_is_rejected(address: tuple[str, int]) -> None:
    with opened(address) as connection:
        connection.sendall(posted(b"ab", 10))
        assert status(connection) == 408


def test_responses_are_not_delayed_by_nagle_s_algorithm() -> None:
    with serving.bind("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # which asyncio asks before TCP_NODELAY
