"""The energy of one component in one interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pricetag.accounting.quantity.quantity import Source

FULL_COVERAGE_RATIO = 0.999
"""Coverage below which a flag is set."""


@dataclass(frozen=True, slots=True)
class WindowEnergy:
    """The energy of one component over ``[start_s, end_s]``.

    Attributes:
        start_s: Start of the window.
        end_s: End of the window.
        energy_j: Energy charged to the job, its share of the metered energy; None if nothing was
            metered.
        energy_by_source_j: The same energy, by evidence.
        covered_s: Metered time.
        flags: Flags of the window, sorted.
        reason: Reason why the energy is unknown.
        device_energy_j: Energy of the whole component, including other jobs and idling; None if
            nothing was metered.
        baseline_j: The part of ``energy_j`` that the idle component would have used; None if no
            baseline is known. The rest of ``energy_j`` is dynamic.

    Raises:
        ValueError: If an unknown energy has no reason, or a known energy has no evidence.
    """

    start_s: float
    end_s: float
    energy_j: float | None
    energy_by_source_j: Mapping[Source, float]
    covered_s: float
    flags: tuple[str, ...] = ()
    reason: str | None = None
    device_energy_j: float | None = None
    baseline_j: float | None = None

    def __post_init__(self) -> None:
        if self.energy_j is None and not self.reason:
            raise ValueError("a window of unknown energy needs a reason")
        if self.energy_j is not None and not self.energy_by_source_j:
            raise ValueError(f"a window of {self.energy_j} J needs its energy by source")

    @property
    def duration_s(self) -> float:
        """Duration of the window."""
        return self.end_s - self.start_s
