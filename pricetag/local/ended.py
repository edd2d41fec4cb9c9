"""How a metered program ended, and the signals that it gets."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any

FORWARDED = frozenset(
    {
        *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT),
        *(signal.SIGUSR1, signal.SIGUSR2),
    }
)

EXIT_OF_SIGNAL = 128
"""Added to the number of a signal in the exit code of a shell."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    Attributes:
        exit_code: Its exit code; None if a signal ended it.
        signal: The signal that ended it.
        document: The settled run; None if it could not be settled now.
        problem: Why it could not be settled, or is incomplete.
    """

    exit_code: int | None
    signal: signal.Signals | None
    document: dict[str, Any] | None
    problem: str | None = None
