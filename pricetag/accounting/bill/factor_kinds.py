"""The kinds of factors that a lab can enter."""

from __future__ import annotations

from typing import Literal

FactorKind = Literal[
    "pue",
    "wue",
    "water_intensity",
    "carbon_location",
    "carbon_market",
    "tariff",
    "embodied",
    "calibration",
]
