"""A node's own energy per hour: summed, kept across restarts, shipped as totals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, get_args

from pricetag.accounting.readings.reading import Method
from pricetag.metering.counters import continued_j
from pricetag.metering.source import Component, ComponentKind

HOUR_S = 3600.0
BRIDGED = "bridged"
"""The counter continued while no worker read it: its difference is spread evenly."""

GAP = "gap"


@dataclass(slots=True)
class Total:
    """Metered energy of one component in one hour."""

    energy_j: float = 0.0
    covered_s: float = 0.0
    flags: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Mark:
    """A component's counter when it was last booked (seconds since 1970, UTC)."""

    at_s: float
    counter_j: float


@dataclass(frozen=True, slots=True)
class Row:
    """One component's hour, ready to ship."""

    component: str
    name: str
    kind: ComponentKind
    method: Method
    gain_std_ratio: float
    hour: datetime
    energy_j: float
    covered_s: float
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Name:
    name: str
    kind: ComponentKind
    method: Method
    gain_std_ratio: float


class NodeHours:
    """Totals of a node's components by UTC hour, and the state to continue after a restart."""

    def __init__(self) -> None:
        self._names: dict[str, _Name] = {}
        self._hours: dict[tuple[str, int], Total] = {}
        self._marks: dict[str, Mark] = {}
        self._changed: set[tuple[str, int]] = set()

    def meet(self, component: Component) -> None:
        """Register a component that will be booked."""
        self._names[component.id] = _Name(
            component.name, component.kind, component.method, component.gain_std_ratio
        )

    def add(
        self,
        component: str,
        start_s: float,
        end_s: float,
        *,
        energy_j: float,
        covered_s: float,
        flags: Iterable[str] = (),
    ) -> None:
        """Book the energy of an interval (seconds since 1970), spread evenly over its hours."""
        duration_s = end_s - start_s
        for hour, part_s in hours_between(start_s, end_s):
            share = part_s / duration_s
            total = self._hours.setdefault((component, hour), Total())
            total.energy_j += energy_j * share
            total.covered_s += covered_s * share
            total.flags.update(flags)
            self._changed.add((component, hour))

    def mark(self, component: str, at_s: float, counter_j: float) -> None:
        """Record the counter at the end of the booked interval."""
        self._marks[component] = Mark(at_s, counter_j)

    def bridge(
        self, component: str, at_s: float, counter_j: float, *, wraps_at_j: float | None = None
    ) -> float | None:
        """Book the energy counted since the mark, while no worker read the counter.

        Args:
            component: Id of the component.
            at_s: Current time, seconds since 1970.
            counter_j: Current counter, in J.
            wraps_at_j: Value at which the counter wraps; None if it never does.

        Returns:
            The energy in J; None without a mark, or if the counter is ambiguous because it was
            reset or may have wrapped more than once. Nothing is estimated then.
        """
        mark = self._marks.pop(component, None)
        if mark is None or at_s <= mark.at_s:
            return None
        energy_j = continued_j(mark.counter_j, counter_j, at_s - mark.at_s, wraps_at_j=wraps_at_j)
        if energy_j is None:
            for edge_s in (mark.at_s, at_s):  # there are no rows for the hours in between
                key = component, int(edge_s // HOUR_S)
                self._hours.setdefault(key, Total()).flags.add(GAP)
                self._changed.add(key)
            return None
        self.add(
            component,
            mark.at_s,
            at_s,
            energy_j=energy_j,
            covered_s=at_s - mark.at_s,
            flags=[BRIDGED],
        )
        return energy_j

    def changed(self) -> list[Row]:
        """The totals to ship: those that changed since :meth:`mark_shipped`."""
        return [self._row(component, hour) for component, hour in sorted(self._changed)]

    def mark_shipped(self, rows: Iterable[Row], now_s: float) -> None:
        """Mark rows as shipped; finished hours are then removed."""
        for row in rows:
            key = (row.component, int(row.hour.timestamp() // HOUR_S))
            total = self._hours[key]
            if (row.energy_j, row.covered_s) == (total.energy_j, total.covered_s):
                self._changed.discard(key)
        over = int((now_s - HOUR_S) // HOUR_S)  # an hour stays open for one more hour
        for key in [key for key in self._hours if key[1] < over and key not in self._changed]:
            del self._hours[key]

    def as_dict(self, boot: str) -> dict[str, Any]:
        """The whole state, for the state file."""
        return {
            "boot": boot,
            "names": {component: asdict(name) for component, name in self._names.items()},
            "marks": {component: asdict(mark) for component, mark in self._marks.items()},
            "hours": [
                [component, hour, total.energy_j, total.covered_s, sorted(total.flags)]
                for (component, hour), total in self._hours.items()
            ],
            "changed": sorted(self._changed),
        }

    @classmethod
    def from_dict(cls, stored: dict[str, Any], boot: str) -> NodeHours:
        """Read a state file; marks of another boot are dropped, since its counters were reset.

        Raises:
            KeyError, TypeError, ValueError: If it is not a valid state.
        """
        hours = cls()
        for component, name in stored["names"].items():
            if name["kind"] not in get_args(ComponentKind):
                raise ValueError(f"{component} has an unknown kind: {name['kind']!r}")
            hours._names[component] = _Name(**name)
        if stored["boot"] == boot:
            hours._marks = {key: Mark(**mark) for key, mark in stored["marks"].items()}
        for component, hour, energy_j, covered_s, flags in stored["hours"]:
            hours._hours[component, hour] = Total(energy_j, covered_s, set(flags))
        hours._changed = {(component, hour) for component, hour in stored["changed"]}
        return hours

    def _row(self, component: str, hour: int) -> Row:
        total, name = self._hours[component, hour], self._names[component]
        return Row(
            component=component,
            name=name.name,
            kind=name.kind,
            method=name.method,
            gain_std_ratio=name.gain_std_ratio,
            hour=datetime.fromtimestamp(hour * HOUR_S, UTC),
            energy_j=total.energy_j,
            covered_s=total.covered_s,
            flags=tuple(sorted(total.flags)),
        )


def hours_between(start_s: float, end_s: float) -> Iterator[tuple[int, float]]:
    """The hours (since 1970) that an interval overlaps, and its seconds in each."""
    hour = int(start_s // HOUR_S)
    while hour * HOUR_S < end_s:
        part_s = min(end_s, (hour + 1) * HOUR_S) - max(start_s, hour * HOUR_S)
        if part_s > 0:
            yield hour, part_s
        hour += 1
