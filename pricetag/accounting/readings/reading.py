"""What a meter said about one component at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Method = Literal["counter", "integrated", "modelled"]
"""How the energy of a component is measured: a hardware counter, metered power, or a model."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading; both energies are cumulative.

    Attributes:
        t_s: Monotonic seconds since the meter opened.
        counter_j: Cumulative energy by the hardware counter, None when it could not be read.
        integrated_j: Cumulative energy by integration of power (or of the model's power).
        power_w: Power at that moment.
        flags: What was remarkable; ``lost`` means that the component could not be read,
            ``tick`` that the counter was updated at this very moment: at any other it is up to
            one of its update periods old (``late_tick``: a moment ago, it is not known when).
        own_busy_s: Cumulative activity of this job on the component (CPU seconds, or seconds
            of full use of an accelerator); None where the component is the job's alone or
            activity cannot be separated.
        all_busy_s: Cumulative activity of everybody on it, this job included.
    """

    t_s: float
    counter_j: float | None
    integrated_j: float | None
    power_w: float | None
    flags: tuple[str, ...] = ()
    own_busy_s: float | None = None
    all_busy_s: float | None = None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Reading:
        """A reading from the fields of the meter's, the journal's or the database's record."""
        return cls(
            t_s=record["t_s"],
            counter_j=record["counter_j"],
            integrated_j=record["integrated_j"],
            power_w=record["power_w"],
            flags=tuple(record["flags"]),
            own_busy_s=record.get("own_busy_s"),
            all_busy_s=record.get("all_busy_s"),
        )
