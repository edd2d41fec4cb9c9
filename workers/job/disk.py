"""Detects failures due to the worker's full disk, which are not the job's fault."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})
SAYINGS = tuple(os.strerror(number) for number in ERRNOS)
"""Messages of the C library, and thus of most programs."""

LEAST_FREE_BYTES = 4 << 20
"""Free bytes below which no run is started: its journal alone could fill them."""


def is_full_error(error: BaseException) -> bool:
    """Whether an exception, or one of its causes, reports a full disk or quota."""
    return any(
        (isinstance(cause, OSError) and cause.errno in ERRNOS) or says_full(str(cause))
        for cause in _causes(error)
    )


def says_full(text: str) -> bool:
    """Whether a message reports a full disk or quota."""
    return any(saying in text for saying in SAYINGS)


def is_full(folder: Path, least_bytes: int = LEAST_FREE_BYTES) -> bool:
    """Whether a folder's disk has fewer than ``least_bytes`` free, or no free inode."""
    try:
        state = os.statvfs(folder)
    except OSError:
        return False  # it may not exist yet; writing to it will raise the reason
    has_entries = state.f_files == 0 or state.f_favail > 0
    return state.f_bavail * state.f_frsize < least_bytes or not has_entries


def _causes(error: BaseException) -> Iterator[BaseException]:
    visited_ids: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in visited_ids:
        visited_ids.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__
