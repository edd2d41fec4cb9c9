"""The supervisor's end of the event pipe."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from pricetag.attempt.event_schema import decode
from pricetag.events import MAX_LINE_BYTES, Message, encode
from pricetag.metering.activity import parse_stat

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 5.0
ACCEPT_ROUNDS = 5
"""Number of event loop cycles until a connection in the backlog has its reader."""
EDGES = ("stage_start", "stage_end")
CHUNK_BYTES = 65536
BUSY_S = 0.02
"""Seconds after which a busy connection yields to the others and the worker."""

MAX_CONNECTIONS = 1000
MAX_ANCESTORS = 100


class Connection:
    """One process that reports: the child itself, or a script under a command.

    Attributes:
        pid: Process id; None if the kernel does not report it.
        parent_key: The stage in which the process was started.
        open_keys: The stages that it has opened, in order.
    """

    def __init__(
        self, writer: asyncio.StreamWriter, parent_key: str | None, pid: int | None = None
    ) -> None:
        self._writer = writer
        self.pid = pid
        self.open_keys: list[str] = []
        self.unpriced_depth = 0  # number of open stages that are charged to their parent
        self.is_job = False
        self.parent_key = parent_key

    @property
    def stage_key(self) -> str | None:
        """The stage that this connection opened last, or else the one it was started in."""
        return self.open_keys[-1] if self.open_keys else self.parent_key

    def send(self, message: Message) -> None:
        """Sends a message, unless the process has ended."""
        with contextlib.suppress(ConnectionError, RuntimeError):  # the process has ended
            self._writer.write(encode(message))

    def hang_up(self) -> None:
        """Closes the connection without waiting."""
        self._writer.close()

    async def close(self) -> None:
        """Closes the connection."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


Handler = Callable[[Connection, Message], Awaitable[Message]]
"""Handles an event and returns the fields of its acknowledgement."""


Rejecter = Callable[[str, str], None]
"""Handles an invalid event, with the reason."""


OnLeft = Callable[[Connection], Awaitable[None]]
"""Handles a connection whose process has ended."""


class EventServer:
    """Listens on a Unix socket and hands every event to the supervisor, in order.

    Args:
        path: Path of the socket.
        handler: Handles an event; raises ``ValueError`` if it is invalid.
        reject: Called with invalid events.
        on_left: Called when a process ends before the others and has open stages.
        listening: A socket that listens at the path already.
        around: Stage of processes that were started in no other one.
    """

    def __init__(
        self,
        path: Path,
        handler: Handler,
        reject: Rejecter | None = None,
        on_left: OnLeft | None = None,
        listening: socket.socket | None = None,
        *,
        around: str | None = None,
    ) -> None:
        self._listening = listening
        self._around = around
        self._path = path
        self._on_left = on_left
        self._closing = False
        self._handler = handler
        self._reject = reject or _log_rejected
        self._server: asyncio.Server | None = None
        self.connections: list[Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Starts to listen."""
        if self._listening is not None:
            self._server = await asyncio.start_unix_server(
                self._serve, sock=self._listening, limit=CHUNK_BYTES
            )
            return
        self._server = await asyncio.start_unix_server(
            self._serve, path=str(self._path), limit=CHUNK_BYTES
        )

    def key_around(self, pid: int | None) -> str | None:
        """The stage in which a process that connects now was started.

        The stage of its nearest ancestor that reports, or else the one opened last.
        """
        by_pid = {connection.pid: connection for connection in self.connections}
        for ancestor in _ancestors(pid):
            if ancestor in by_pid:
                return by_pid[ancestor].stage_key
        for connection in reversed(self.connections):
            if connection.stage_key is not None:
                return connection.stage_key
        return self._around

    def broadcast_stop(self, reason: str) -> None:
        """Asks every process to stop."""
        for connection in self.connections:
            connection.send({"stop": reason})

    def pulse(self) -> None:
        """Notify the job of a lease renewal; scripts below it, which may not read, get none."""
        for connection in self.connections:
            if connection.is_job:
                connection.send({"pulse": True})

    async def drain(self, timeout_s: float) -> None:
        """Wait until every connection is read to its end, or the timeout."""
        for _ in range(ACCEPT_ROUNDS):
            await asyncio.sleep(0)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)

    async def close(self) -> None:
        """Stops listening and closes every connection."""
        self._closing = True
        if self._server is not None:
            self._server.close()
        for connection in list(self.connections):
            connection.hang_up()
        await self.drain(CLOSE_TIMEOUT_S)
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if len(self.connections) >= MAX_CONNECTIONS:
            logger.warning("connection refused: %d are already open", len(self.connections))
            writer.close()
            return
        pid = _peer_pid(writer)
        connection = Connection(writer, self.key_around(pid), pid)
        self.connections.append(connection)
        try:
            with contextlib.suppress(ConnectionResetError):  # killed; its stages end as well
                await self._read(connection, reader)
            if self._on_left and connection.open_keys and self._is_outlived(connection):
                await self._on_left(connection)
        except ConnectionError:
            logger.debug("a job's connection broke")
        finally:
            self.connections.remove(connection)
            await connection.close()

    def _is_outlived(self, connection: Connection) -> bool:
        """Whether the program continues to report on another connection."""
        if self._closing or connection.is_job:
            return False
        return any(each is not connection and not each.is_job for each in self.connections)

    async def _read(self, connection: Connection, reader: asyncio.StreamReader) -> None:
        busy_since_s = time.monotonic()
        async for line in _lines(reader):
            if isinstance(line, int):
                text = f"a line of {line} bytes is too long: the limit is {MAX_LINE_BYTES}"
                self._reject("", text)
            elif line:
                await self._dispatch(connection, line)
            if time.monotonic() - busy_since_s > BUSY_S:
                await asyncio.sleep(0)
                busy_since_s = time.monotonic()

    async def _dispatch(self, connection: Connection, line: bytes) -> None:
        message: Message = {}
        try:
            message = decode(line)
            reply = await self._handler(connection, message)
        except (ValueError, KeyError, TypeError) as error:
            self._reject(line[:2000].decode("utf-8", "replace"), str(error))
            reply = {"error": str(error)}
        if message.get("type") in EDGES and isinstance(message.get("n"), int):
            connection.send({"ack": message["n"], **reply})


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes | int]:
    """Lines of a connection; a line that is too long yields only its length.

    At most one line and one chunk are in memory.
    """
    incomplete, skipped = b"", 0
    while chunk := await reader.read(CHUNK_BYTES):
        *complete, incomplete = (incomplete + chunk).split(b"\n")
        for line in complete:
            length, skipped = skipped + len(line), 0
            yield length if length >= MAX_LINE_BYTES else line
        if skipped or len(incomplete) >= MAX_LINE_BYTES:
            skipped, incomplete = skipped + len(incomplete), b""
    if skipped:
        yield skipped + len(incomplete)
    elif incomplete.endswith(b"}"):  # otherwise the line is incomplete
        yield incomplete


def _peer_pid(writer: asyncio.StreamWriter) -> int | None:
    """Id of the process at the other end; None if the kernel does not report it."""
    try:
        credentials = writer.get_extra_info("socket").getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")
        )
    except OSError:
        return None
    pid: int = struct.unpack("3i", credentials)[0]
    return pid or None  # 0: a process of another namespace


def _ancestors(pid: int | None) -> list[int]:
    """A process and its ancestors, nearest first."""
    line: list[int] = []
    while pid is not None and pid > 1 and len(line) < MAX_ANCESTORS:
        line.append(pid)
        try:
            pid = parse_stat(Path(f"/proc/{pid}/stat").read_bytes()).parent
        except (OSError, ValueError, IndexError):  # it has ended
            break
    return line


def _log_rejected(text: str, why: str) -> None:
    logger.warning("an event was rejected: %s: %.200s", why, text)
