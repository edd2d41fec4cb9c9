"""Why a backup cannot be made or restored."""

from __future__ import annotations

from collections.abc import Sequence


class BackupError(RuntimeError):
    """A backup cannot be made, checked or restored; the message states the reason.

    Attributes:
        details: Further problems, one per line.
    """

    def __init__(self, message: str, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.details = tuple(details)
