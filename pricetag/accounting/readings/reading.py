"""A meter's reading of one component at one time: one type from the meter to the price tag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Method = Literal["counter", "integrated", "modelled", "estimated"]
"""How the energy of a component is obtained: a hardware counter, metered power, a model, or the
estimate of another tool."""

MODELS: frozenset[Method] = frozenset({"modelled", "estimated"})
"""Methods whose gain error is a factor."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading; both energies are cumulative.

    Attributes:
        t_s: Monotonic seconds since the meter opened.
        counter_j: Cumulative energy from the hardware counter, None if unreadable.
        integrated_j: Cumulative energy from integrated power (or the model's power).
        power_w: Power at that time.
        flags: Flags of the reading. ``lost``: the component could not be read. ``tick``: the
            counter was updated at this time; otherwise its value is up to one update period old
            (``late_tick``: it was updated recently, at an unknown time).
        own_busy_s: Cumulative activity of this job on the component (CPU seconds, or seconds of
            full use of an accelerator); None if the job has the component to itself, or if
            activity cannot be separated.
        all_busy_s: Cumulative activity of all processes on it, including this job.
        component: ID of the component; empty if all readings are of one component.
    """

    t_s: float
    counter_j: float | None
    integrated_j: float | None
    power_w: float | None
    flags: tuple[str, ...] = ()
    own_busy_s: float | None = None
    all_busy_s: float | None = None
    component: str = ""

    @classmethod
    def silent(
        cls, component: str, t_s: float, *flags: str, power_w: float | None = None
    ) -> Reading:
        """A reading without energy, with flags that say why."""
        return cls(t_s, None, None, power_w, flags, component=component)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Reading:
        """A reading from the record of the journal or the database."""
        return cls(
            t_s=record["t_s"],
            counter_j=record["counter_j"],
            integrated_j=record["integrated_j"],
            power_w=record["power_w"],
            flags=tuple(record["flags"]),
            own_busy_s=record.get("own_busy_s"),
            all_busy_s=record.get("all_busy_s"),
            component=record.get("component", ""),
        )

    def as_record(self) -> dict[str, Any]:
        """The fields of the journal's ``reading`` record; activity only where it is known."""
        record = {
            "component": self.component,
            "t_s": self.t_s,
            "counter_j": self.counter_j,
            "integrated_j": self.integrated_j,
            "power_w": self.power_w,
            "flags": list(self.flags),
        }
        if self.own_busy_s is not None or self.all_busy_s is not None:
            record |= {"own_busy_s": self.own_busy_s, "all_busy_s": self.all_busy_s}
        return record

    def flagged(self, *names: str) -> Reading:
        """The reading with further flags, each once."""
        missing = tuple(name for name in names if name not in self.flags)
        return replace(self, flags=self.flags + missing) if missing else self
