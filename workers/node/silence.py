"""Maximum time that a job may run without a renewal of its lease."""

from __future__ import annotations

MARGIN_S = 3.0
"""Time between the end of a job and that of its lease, so that clocks need not agree exactly."""


def silence_limit_s(lease_s: float) -> float:
    """Seconds without renewal after which a job ends, before another worker may start its run."""
    return lease_s - min(MARGIN_S, 0.1 * lease_s)
