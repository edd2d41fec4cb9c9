"""Whether something failed because the worker's disk is full: that is not the job's fault."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})
SAYINGS = tuple(os.strerror(number) for number in ERRNOS)
"""As the C library says it, and with that most programs."""

LEAST_FREE_BYTES = 4 << 20
"""With less on a disk of the worker no run is begun: its journal alone could fill that."""


def is_full_error(error: BaseException) -> bool:
    """Whether an exception, or one that it came from, says that a disk or quota is full."""
    return any(
        (isinstance(cause, OSError) and cause.errno in ERRNOS) or says_full(str(cause))
        for cause in _causes(error)
    )


def says_full(text: str) -> bool:
    """Whether a message says that a disk or quota is full."""
    return any(saying in text for saying in SAYINGS)


def is_full(folder: Path, least_bytes: int = LEAST_FREE_BYTES) -> bool:
    """Whether a folder's disk has less room than ``least_bytes``, or no file entry left."""
    try:
        state = os.statvfs(folder)
    except OSError:
        return False  # it may not exist yet; who writes to it will hear why
    has_entries = state.f_files == 0 or state.f_favail > 0
    return state.f_bavail * state.f_frsize < least_bytes or not has_entries


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__
