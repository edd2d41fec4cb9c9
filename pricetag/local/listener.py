"""The socket on which a program reports its stages; it listens before anybody reads from it."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

BACKLOG = 128
ROOT = Path("/tmp")
"""The path of a socket has at most 107 bytes, so that it cannot be in the data folder."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket in a folder of its own."""

    path: Path
    listening: socket.socket

    @classmethod
    def new(cls) -> Listener:
        """A new socket that listens.

        Raises:
            OSError: If its folder cannot be created.
        """
        folder = ROOT / f"pricetag-{os.urandom(8).hex()}"
        folder.mkdir(mode=0o700)
        path = folder / "events.sock"
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(str(path))
        listening.listen(BACKLOG)
        return cls(path, listening)

    def close(self) -> None:
        """Stops listening and removes the folder."""
        self.listening.close()
        remove_socket(self.path)


def remove_socket(path: Path) -> None:
    """Removes a socket and its folder, if they are there."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
        path.parent.rmdir()
