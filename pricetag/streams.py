"""Standard streams that may be closed, or lead to a full disk, as those of daemons do."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TextIO


def write(stream: TextIO | None, text: str) -> None:
    """Writes a text whose loss must not end the program; see :func:`flush`."""
    if stream is not None:
        with suppress(OSError, ValueError):  # ValueError: a stream that the program has closed
            stream.write(text)
        flush(stream)


def flush(stream: TextIO | None) -> None:
    """Flushes a stream; what it does not take is dropped.

    It would otherwise fail once more at the exit, and change the program's exit code.
    """
    if stream is None:
        return
    try:
        stream.flush()
    except ValueError:
        return
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
