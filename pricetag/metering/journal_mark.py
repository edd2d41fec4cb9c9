"""A mark on a journal's file while some of its records wait in memory for the disk.

It is a permission bit, which needs no space. It outlives the writer: whoever takes over a marked
journal knows that records are missing after its last one.
"""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

logger = logging.getLogger(__name__)

PLAIN_MODE = 0o600
MARKED_MODE = 0o700


def is_marked(descriptor: int) -> bool:
    """Whether the last writer of a journal still had records in memory."""
    return stat.S_IMODE(os.fstat(descriptor).st_mode) == MARKED_MODE


def mark(descriptor: int, path: Path) -> bool:
    """Mark a journal; returns whether that was possible."""
    try:
        os.fchmod(descriptor, MARKED_MODE)
    except OSError as error:
        logger.error("%s cannot be marked as incomplete: %s", path, error)
        return False
    try:
        os.fsync(descriptor)
    except OSError as error:  # the mark still outlives this process
        logger.error("%s is marked as incomplete, but not yet on the disk: %s", path, error)
    return is_marked(descriptor)


def unmark(descriptor: int, path: Path) -> bool:
    """Remove the mark once every record is on the disk; returns whether it is still marked."""
    try:
        os.fchmod(descriptor, PLAIN_MODE)
    except OSError as error:
        logger.error("%s stays marked as incomplete: %s", path, error)
    return is_marked(descriptor)
