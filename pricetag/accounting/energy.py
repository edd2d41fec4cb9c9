"""From readings to energy: the counter first, the integral where the counter fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pricetag.accounting.quantity import Source

Method = Literal["counter", "integrated", "modelled"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the meter said about one component at one moment.

    Attributes:
        t_s: Monotonic seconds since the meter opened.
        counter_j: Cumulative energy by the hardware counter, None when not read.
        integrated_j: Cumulative energy by integration of power (or of the model).
        power_w: Power at that moment.
        flags: What was remarkable; ``lost`` means that the component could not be read.
    """

    t_s: float
    counter_j: float | None
    integrated_j: float | None
    power_w: float | None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WindowEnergy:
    """The energy of one component over ``[start_s, end_s]``.

    Attributes:
        start_s: Start of the window.
        end_s: End of the window.
        energy_j: What was metered; None when nothing was.
        energy_by_source_j: The same, by evidence.
        covered_s: For how long it was metered.
        flags: What was remarkable.
        reason: Why the energy is unknown.
    """

    start_s: float
    end_s: float
    energy_j: float | None
    energy_by_source_j: Mapping[Source, float]
    covered_s: float
    flags: tuple[str, ...] = ()
    reason: str | None = None


def window_energy(
    readings: Sequence[Reading],
    *,
    start_s: float,
    end_s: float,
    method: Method = "counter",
    max_gap_s: float = 5.0,
) -> WindowEnergy:
    """The energy of one component over a window."""
    raise NotImplementedError
