"""What a meter said about one component at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Method = Literal["counter", "integrated", "modelled"]
"""How the energy of a component is had: a hardware counter, metered power, or a model."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading; both energies are cumulative.

    Attributes:
        t_s: Monotonic seconds since the meter opened.
        counter_j: Cumulative energy by the hardware counter, None when it could not be read.
        integrated_j: Cumulative energy by integration of power (or of the model's power).
        power_w: Power at that moment.
        flags: What was remarkable; ``lost`` means that the component could not be read.
    """

    t_s: float
    counter_j: float | None
    integrated_j: float | None
    power_w: float | None
    flags: tuple[str, ...] = ()
