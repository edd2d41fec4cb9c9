"""What is metered: one type from the meter over journal and database to the price tag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from pricetag.accounting.readings.reading import Method

ComponentKind = Literal["gpu", "cpu", "ram", "host"]


@dataclass(frozen=True, slots=True)
class Component:
    """Something whose energy is metered.

    Attributes:
        id: ``gpu:<uuid>``, ``cpu``, ``ram`` or ``rapl:<zone>``.
        kind: What it is.
        name: Its product name; two of one name share their meter's gain error.
        method: How its energy is obtained.
        gain_std_ratio: Relative error of the meter's gain, one sigma. Of a modelled component
            it is read as a factor: 1.0 means "times or divided by two".
        power_limit_w: The most it can draw, in W, where known.
        notes: What a reader of the price tag should know about it.
        reserved_ratio: The part of it that is reserved for the job: 1 when it is the job's
            alone, 3/7 for a MIG slice of three sevenths, cores reserved over all cores.
        baseline_w: Its power with no job on it, where that was measured or a model says so.
        baseline_note: When and in which state, or why there is none.
        update_s: How often its counter is updated, where it has one.
        has_model: Whether the integral beside its counter is that of a model.
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

    def as_dict(self) -> dict[str, Any]:
        """The component as the journal's ``start`` record and the attempt's row hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Component:
        """A component as it was stored; what an earlier version did not know has its default."""
        return cls(**{name: stored[name] for name in _NAMES if name in stored})


_NAMES = tuple(field.name for field in fields(Component))
