"""What CodeCarbon's tracker reports; apart from both who asks for it and who calls the tracker."""

from __future__ import annotations

from typing import TypedDict


class Figures(TypedDict):
    """What a tracker says once it was stopped."""

    duration_s: float
    cpu_kwh: float | None
    gpu_kwh: float | None
    ram_kwh: float | None
    energy_kwh: float | None
    reason: str | None
