"""How a run ended whose attempts ran on several nodes, or were restarted by a scheduler."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

End = tuple[int, str, Mapping[str, Any] | None]
"""Restart, status and reason of an attempt."""

_MILDER = ("succeeded", "cancelled")
"""Statuses that count only if no attempt of the same restart has a worse one."""


def together(ends: Iterable[End]) -> tuple[str, Mapping[str, Any] | None]:
    """Status and reason of a run: the worst of its last restart.

    Args:
        ends: How each attempt ended; at least one.
    """
    listed = list(ends)
    last = max(restart for restart, _, _ in listed)
    of_last = [(status, reason) for restart, status, reason in listed if restart == last]
    return max(of_last, key=lambda end: _weight(end[0]))  # the first one of equals


def _weight(status: str) -> int:
    return _MILDER.index(status) if status in _MILDER else len(_MILDER)
