"""The supervisor's end of the event pipe."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from pricetag.events import MAX_LINE_BYTES, Message, decode, encode

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 5.0
ACCEPT_ROUNDS = 5
"""Turns of the event loop until a connection that waits in the backlog has its reader."""
EDGES = ("stage_start", "stage_end")


class Connection:
    """One process that reports: the child itself, or a script under a command."""

    def __init__(self, writer: asyncio.StreamWriter, parent_key: str | None) -> None:
        self._writer = writer
        self.open_keys: list[str] = []
        self.unpriced_depth = 0  # open stages that are charged to the one around them
        self.is_job = False
        self.parent_key = parent_key

    @property
    def stage_key(self) -> str | None:
        """The innermost stage this connection is in."""
        return self.open_keys[-1] if self.open_keys else self.parent_key

    def send(self, message: Message) -> None:
        with contextlib.suppress(ConnectionError, RuntimeError):  # it left: nobody to tell
            self._writer.write(encode(message))

    def hang_up(self) -> None:
        self._writer.close()

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


Handler = Callable[[Connection, Message], Awaitable[Message]]
"""Takes an event and returns what the acknowledgement bears."""


class EventServer:
    """Listens on a Unix socket and hands every event to the supervisor, in order."""

    def __init__(self, path: Path, handler: Handler) -> None:
        self._path = path
        self._handler = handler
        self._server: asyncio.Server | None = None
        self.connections: list[Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(
            self._serve, path=str(self._path), limit=MAX_LINE_BYTES
        )

    def innermost_key(self) -> str | None:
        """The stage in which a process that connects now was started."""
        for connection in reversed(self.connections):
            if connection.stage_key is not None:
                return connection.stage_key
        return None

    def broadcast_stop(self, reason: str) -> None:
        for connection in self.connections:
            connection.send({"stop": reason})

    def pulse(self) -> None:
        """Tells the job that its lease was renewed; a script under it may never read."""
        for connection in self.connections:
            if connection.is_job:
                connection.send({"pulse": True})

    async def drain(self, timeout_s: float) -> None:
        """Waits until every connection was read to its end, but not for ever."""
        for _ in range(ACCEPT_ROUNDS):
            await asyncio.sleep(0)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout_s)

    async def close(self) -> None:
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
        connection = Connection(writer, self.innermost_key())
        self.connections.append(connection)
        try:
            while line := await reader.readline():
                await self._dispatch(connection, line)
        except ConnectionError:
            logger.debug("a job's connection broke")
        except ValueError as error:  # a line over the limit; the closed pipe tells the job
            logger.warning("an event was refused: %s", error)
        finally:
            self.connections.remove(connection)
            await connection.close()

    async def _dispatch(self, connection: Connection, line: bytes) -> None:
        try:
            message = decode(line)
            answer = await self._handler(connection, message)
        except (ValueError, KeyError, TypeError) as error:
            logger.warning("a malformed event was left out: %s: %.200r", error, line)
            return
        if message.get("type") in EDGES:
            connection.send({"ack": message["n"], **answer})
