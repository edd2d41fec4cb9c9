"""The response of the live stream, with as few tasks and buffers per reader as possible."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

SEND_TIMEOUT_S = 30.0
"""Time without any read by the client after which its connection is closed, in s."""


class LiveResponse(Response):
    """Sends pieces of server-sent events as they arrive.

    One task sends, one waits for the end of the connection. Readers share the bytes of the pieces:
    nothing is encoded or copied here.

    Args:
        pieces: Whole events as text.
        status_code: HTTP status.
    """

    media_type = "text/event-stream"

    def __init__(self, pieces: AsyncGenerator[bytes], status_code: int = 200) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(status_code=status_code, headers=headers)
        del self.headers["content-length"]
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends until the pieces end, the client disconnects, or it reads nothing for too long."""
        sending = asyncio.current_task()
        assert sending is not None
        gone = asyncio.create_task(_until_gone(receive))
        gone.add_done_callback(lambda task: None if task.cancelled() else sending.cancel())
        try:
            await self._send_all(send)
        except asyncio.CancelledError:
            if not gone.done() or sending.uncancel() > 0:
                raise  # the server stops
        finally:
            gone.cancel()

    async def _send_all(self, send: Send) -> None:
        start = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        await send(start)
        async with aclosing(self._pieces) as pieces:
            async for piece in pieces:
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive) -> None:
    """Waits until the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass
