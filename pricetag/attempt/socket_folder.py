"""The folder of an attempt's event socket."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

LONGEST_SOCKET_PATH = 100
"""Maximum length in bytes; the kernel accepts 107."""


def own_folder() -> Path:
    """A new folder for one attempt, with a path short enough for a socket."""
    place = tempfile.gettempdir()
    is_deep = len(os.fsencode(place)) > LONGEST_SOCKET_PATH - len("/pricetag-12345678/events.sock")
    return Path(tempfile.mkdtemp(prefix="pricetag-", dir="/tmp" if is_deep else place))


def socket_path(folder: Path) -> Path:
    """Path of the event socket in an attempt's folder."""
    return folder / "events.sock"
