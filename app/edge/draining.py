"""Shutdown of the server process: ends streams that never end by themselves."""

from __future__ import annotations

import socket
from typing import Any

import uvicorn


class DrainingServer(uvicorn.Server):
    """uvicorn that ends the live streams before it waits for open requests."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Closes the live streams, then shuts down."""
        app: Any = self.config.app
        resources = getattr(app.state, "resources", None)  # none if it did not start
        if resources is not None:
            resources.live.close()
        await super().shutdown(sockets)
