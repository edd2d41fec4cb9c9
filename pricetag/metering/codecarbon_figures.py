"""Figures reported by CodeCarbon's tracker; a separate module to avoid an import cycle."""

from __future__ import annotations

from typing import TypedDict


class Figures(TypedDict):
    """A stopped tracker's figures."""

    duration_s: float
    cpu_kwh: float | None
    gpu_kwh: float | None
    ram_kwh: float | None
    energy_kwh: float | None
    reason: str | None
