"""Pictures of charts, drawn by one other process, which starts with the first picture."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

Picture = Literal["svg", "png", "pdf"]
PICTURES: tuple[Picture, ...] = get_args(Picture)

DRAWER = Path(__file__).with_name("drawer.py")
LIMIT_S = 20.0
"""Time for one picture; the first includes the start of the process."""

MOST_WAITING = 32
KEPT_BYTES = 32_000_000
END_S = 5.0


class DrawingError(RuntimeError):
    """A chart could not be drawn."""


class BusyError(DrawingError):
    """Too many pictures are waiting."""


class Drawing:
    """Draws one picture after the other, and keeps the latest ones.

    Args:
        command: Command of the other process.
        limit_s: Time for one picture, after which the process is ended.
        most_waiting: Maximum number of requests that wait for their picture.
    """

    def __init__(
        self,
        command: tuple[str, ...] = (sys.executable, "-P", str(DRAWER)),
        *,
        limit_s: float = LIMIT_S,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._command = command
        self._limit_s = limit_s
        self._most_waiting = most_waiting
        self._waiting = 0
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._kept_bytes = 0

    async def picture(self, key: str, document: Mapping[str, Any], form: Picture) -> bytes:
        """The picture of a chart, from memory or drawn.

        Args:
            key: What the picture is: hash, format, theme and size.
            document: A Vega-Lite document with its colors and size.
            form: Format of the picture.

        Raises:
            BusyError: If too many pictures are waiting.
            DrawingError: If it could not be drawn, or took too long.
        """
        if key in self._kept:
            return self._again(key)
        if self._waiting >= self._most_waiting:
            raise BusyError(f"{self._waiting} pictures of charts are waiting")
        self._waiting += 1
        try:
            async with self._turn:
                if key in self._kept:  # requested by somebody else, too
                    return self._again(key)
                return self._keep(key, await self._draw(document, form))
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Ends the process, if it runs."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    @property
    def process_id(self) -> int | None:
        """ID of the other process; None while it does not run."""
        return None if self._process is None else self._process.pid

    def _again(self, key: str) -> bytes:
        self._kept.move_to_end(key)
        return self._kept[key]

    def _keep(self, key: str, picture: bytes) -> bytes:
        self._kept[key] = picture
        self._kept_bytes += len(picture)
        while self._kept_bytes > KEPT_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= len(oldest)
        return picture

    async def _draw(self, document: Mapping[str, Any], form: Picture) -> bytes:
        request = json.dumps({"format": form, "document": document}).encode() + b"\n"
        try:
            async with asyncio.timeout(self._limit_s):
                return await self._asked(request)
        except TimeoutError:
            await self._end()
            raise DrawingError(f"a chart took more than {self._limit_s:g} s to draw") from None
        except (OSError, asyncio.IncompleteReadError) as error:
            await self._end()
            raise DrawingError(f"the process that draws charts ended: {error}") from error
        except asyncio.CancelledError:
            await self._end()  # its response would be taken for that of the next request
            raise

    async def _asked(self, request: bytes) -> bytes:
        process = await self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(request)
        await process.stdin.drain()
        line = await process.stdout.readline()
        if not line:
            raise OSError(f"exit status {await process.wait()}")
        head = json.loads(line)
        if "error" in head:
            raise DrawingError(f"the chart could not be drawn: {head['error']}")
        return await process.stdout.readexactly(head["bytes"])

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()
