"""The metered component: one type for meter, journal, database and price tag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from pricetag.accounting.readings.reading import Method

ComponentKind = Literal["gpu", "cpu", "ram", "host"]

BOOKING_RULES = 2
"""Version of the rules by which new readings are booked: those recorded before keep theirs."""


@dataclass(frozen=True, slots=True)
class Component:
    """Something whose energy is metered.

    Attributes:
        id: ``gpu:<uuid>``, ``cpu``, ``ram`` or ``rapl:<zone>``.
        kind: Kind of component.
        name: Product name; components with one name share their meter's gain error.
        method: How its energy is measured.
        gain_std_ratio: Relative error of the meter's gain, one sigma. For a modelled component
            it is a factor: 1.0 means "times or divided by two".
        power_limit_w: Maximum power in W, if known.
        notes: Remarks for readers of the price tag.
        reserved_ratio: Share reserved for the job: 1 for a whole device, 3/7 for a MIG slice of
            three sevenths, reserved cores over all cores for a host.
        baseline_w: Idle power, measured or modelled, if known.
        baseline_note: Time and state of the baseline, or the reason why there is none.
        update_s: Update period of its counter, if it has one.
        has_model: Whether the integral beside its counter comes from a model.
        booking_rules: Version of the rules by which its readings are booked
            (:mod:`~pricetag.accounting.readings.step_energy`).
    """

    id: str
    kind: ComponentKind
    name: str
    method: Method
    gain_std_ratio: float
    power_limit_w: float | None = None
    notes: str | None = None
    reserved_ratio: float = 1.0
    baseline_w: float | None = None
    baseline_note: str | None = None
    update_s: float | None = None
    has_model: bool = False
    booking_rules: int = 1

    def as_dict(self) -> dict[str, Any]:
        """The component in the form of the journal's ``start`` record and the attempt's row."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Component:
        """A stored component; fields that an earlier version did not have get their defaults."""
        return cls(**{name: stored[name] for name in _NAMES if name in stored})


_NAMES = tuple(field.name for field in fields(Component))
