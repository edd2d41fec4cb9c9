"""A node's account: total energy of its components, energy charged to runs, and the rest.

    unallocated = energy read by the node's own meter - energy charged to runs

per component and hour, so that the sum over all of them is the lab's total. If the node's own
meter did not run, or covered less of the hour than a run's meter, the total is at least the
energy charged to runs, and the rest is unknown. In the current hour it is unknown until the
node's total has arrived. Energy charged to open runs is separate, because it and the rest are
provisional until they end. In an hour that an open run has not reported yet, the rest is
undecided: it belongs either to the run or to the node.

    total = charged + running + unallocated + undecided          always, and to the last joule
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from pricetag.accounting.quantity.gain import gain_group
from pricetag.accounting.quantity.quantity import Quantity, Source, weakest
from pricetag.accounting.quantity.uncertainty import Error, Interval, Intervals, combine_each
from pricetag.accounting.readings.component import ComponentKind
from pricetag.accounting.readings.reading import MODELS, Method
from pricetag.accounting.readings.sharing import OVERALLOCATED
from pricetag.accounting.units import joules_to_kwh

READ_EVERY_S = 2.0
"""Interval between readings, in s. The meters of a run and of its node are read at different
times, so that over one hour they may differ by one reading at either edge."""

REPORTED_EVERY_S = 60.0
"""Maximum delay of a node's total behind a run's reports, in s: runs report every second, nodes
twice a minute."""

NOTHING_METERED = "nothing was metered in this time"

SOURCES: dict[Method, Source] = {
    "counter": "counter",
    "integrated": "integrated",
    "modelled": "modelled",
    "estimated": "estimated",
}


class Entry(NamedTuple):
    """The hours of all components of one product, summed.

    Attributes:
        kind: Kind of the components.
        name: Product name; components of one product share their meter's gain error.
        method: How their energy is measured.
        gain_std_ratio: Relative error of the gain, one sigma; for a model, a factor.
        total_j: Total energy.
        charged_j: Energy charged to ended runs.
        unallocated_j: Energy that belongs to the node; 0 for hours in which it is unknown.
        undecided_j: Energy that belongs either to open runs or to the node.
        overallocated_j: Excess of charges over totals beyond the meters' edges.
        hours: Number of component-hours.
        unmetered_hours: Component-hours that have, and will have, no usable total of the node.
        open_hours: Component-hours with open runs.
        running_j: Energy charged to open runs so far.
        undecided_hours: Component-hours that an open run has not reported yet.
        awaited_hours: Component-hours whose total the node may still report in time.
    """

    kind: ComponentKind
    name: str
    method: Method
    gain_std_ratio: float
    total_j: float
    charged_j: float
    unallocated_j: float
    undecided_j: float
    overallocated_j: float
    hours: int
    unmetered_hours: int
    open_hours: int
    running_j: float = 0.0
    undecided_hours: int = 0
    awaited_hours: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """The figures of several entries, in kWh.

    Attributes:
        total_kwh: Total energy, as far as known.
        charged_kwh: Energy charged to ended runs.
        running_kwh: Energy charged to open runs so far; provisional.
        unallocated_kwh: Energy that belongs to the node; unknown if no hour is settled.
        undecided_kwh: Energy that open runs have not reported yet: theirs or the node's.
        overallocated_kwh: Excess of charges over totals; normally 0.
        flags: ``overallocated``, ``node_not_metered``, ``node_total_awaited``, ``runs_open``;
            sorted.
    """

    total_kwh: Quantity
    charged_kwh: Quantity
    running_kwh: Quantity
    unallocated_kwh: Quantity
    undecided_kwh: Quantity
    overallocated_kwh: float
    flags: tuple[str, ...]


def account(entries: Sequence[Entry], *, seed: int = 0) -> Account:
    """Sum entries, with 95% intervals.

    Components of one product share their meter's gain error, which adds linearly; other errors
    are independent. A remainder has the error of the meter that read it.

    Args:
        entries: Entries of any nodes, components and hours.
        seed: Seed of the Monte Carlo simulation.
    """
    return accounts([entries], seed=seed)[0]


def accounts(
    groups: Sequence[Sequence[Entry]], *, seed: int = 0, intervals: Intervals = combine_each
) -> list[Account]:
    """Sum several groups of entries, each like :func:`account`.

    Args:
        groups: Groups of entries.
        seed: Seed of the Monte Carlo simulation.
        intervals: Computes the intervals of all sums at once, equal to those of ``combine``.
    """
    columns = [_columns(entries) for entries in groups]
    figures = [figure for of_group in columns for figure in _figures(of_group)]
    quantities = iter(_quantities(figures, seed, intervals))
    return [_account(of_group, [next(quantities) for _ in range(5)]) for of_group in columns]


class Metered(NamedTuple):
    """The energy of several components and hours, without its division.

    Attributes:
        total_kwh: Energy used by the components, as far as known.
        flags: Flags of the metering.
    """

    total_kwh: Quantity
    flags: tuple[str, ...]


def metered(
    groups: Sequence[Sequence[Entry]], *, seed: int = 0, intervals: Intervals = combine_each
) -> list[Metered]:
    """Totals and flags of several groups of entries, as :func:`accounts` finds them.

    Args:
        groups: Groups of entries.
        seed: Seed of the Monte Carlo simulation.
        intervals: As of :func:`accounts`.
    """
    columns = [_columns(entries) for entries in groups]
    quantities = _quantities([_total(of_group) for of_group in columns], seed, intervals)
    return [
        Metered(total, _flags(of_group, sum(of_group.overallocated_j)))
        for of_group, total in zip(columns, quantities, strict=True)
    ]


Product = tuple[ComponentKind, str, Method, float]
"""Kind, name, method and relative error of the gain of an entry."""


def totals(
    groups: Sequence[Mapping[Product, float]],
    *,
    seed: int = 0,
    intervals: Intervals = combine_each,
) -> list[Quantity]:
    """The total energy of several groups, as :func:`accounts` finds it.

    Args:
        groups: Groups of energies by product, in J.
        seed: Seed of the Monte Carlo simulation.
        intervals: As of :func:`accounts`.
    """
    sums = [
        _sum(
            tuple([method for _, _, method, _ in energies_j]),
            tuple([error_of(*product) for product in energies_j]),
            tuple(energies_j.values()),
        )
        if energies_j
        else Quantity.unknown("kWh", NOTHING_METERED)
        for energies_j in groups
    ]
    return _quantities(sums, seed, intervals)


def _quantities(
    figures: Sequence[_Sum | Quantity], seed: int, intervals: Intervals
) -> list[Quantity]:
    """Figures with the intervals of those that are sums."""
    sums = [(figure.errors, figure.sizes) for figure in figures if isinstance(figure, _Sum)]
    ends = iter(intervals(sums, seed))
    return [
        figure.quantity(next(ends)) if isinstance(figure, _Sum) else figure for figure in figures
    ]


def _columns(entries: Sequence[Entry]) -> Any:
    """An entry whose fields are those of all entries, as tuples."""
    empty: list[tuple[Any, ...]] = [()] * len(Entry._fields)
    return Entry._make(zip(*entries, strict=True) if entries else empty)


def _figures(columns: Any) -> list[_Sum | Quantity]:
    if not columns.hours:
        return [Quantity.unknown("kWh", NOTHING_METERED)] * 5
    methods, errors = columns.method, _errors(columns)
    reason, remark = _reason_and_remark(columns)
    return [
        _sum(methods, errors, columns.total_j),
        _sum(methods, errors, columns.charged_j),
        _sum(methods, errors, columns.running_j),
        _sum(methods, errors, columns.unallocated_j, remark)
        if reason is None
        else Quantity.unknown("kWh", reason),
        _sum(methods, errors, columns.undecided_j),
    ]


def _total(columns: Any) -> _Sum | Quantity:
    if not columns.hours:
        return Quantity.unknown("kWh", NOTHING_METERED)
    return _sum(columns.method, _errors(columns), columns.total_j)


def _errors(columns: Any) -> tuple[Error, ...]:
    return tuple(map(error_of, columns.kind, columns.name, columns.method, columns.gain_std_ratio))


def _flags(columns: Any, overallocated_j: float) -> tuple[str, ...]:
    remarks = {
        OVERALLOCATED: overallocated_j > 0,
        "node_not_metered": any(columns.unmetered_hours),
        "node_total_awaited": any(columns.awaited_hours),
        "runs_open": any(columns.open_hours),
    }
    return tuple(sorted([name for name, holds in remarks.items() if holds]))


def _account(columns: Any, figures: Sequence[Quantity]) -> Account:
    over_j = sum(columns.overallocated_j)
    total, charged, running, unallocated, undecided = figures
    return Account(
        total_kwh=total,
        charged_kwh=charged,
        running_kwh=running,
        unallocated_kwh=unallocated,
        undecided_kwh=undecided,
        overallocated_kwh=joules_to_kwh(over_j),
        flags=_flags(columns, over_j),
    )


def _reason_and_remark(columns: Any) -> tuple[str | None, str | None]:
    """The reason why unallocated energy is unknown, or a remark on a known one."""
    hours = sum(columns.hours)
    unmetered = sum(columns.unmetered_hours)
    awaited = sum(columns.awaited_hours)
    undecided = sum(columns.undecided_hours)
    going = sum(columns.open_hours) - undecided
    missing = []
    if unmetered:
        missing.append(f"{unmetered} in which the node's own meter did not run throughout")
    if awaited:
        late = f"the node's own total is not in yet (it comes up to {REPORTED_EVERY_S:.0f} s late)"
        missing.append(f"{awaited} of which {late}")
    if undecided:
        missing.append(f"{undecided} for which open runs have not reported yet")
    if hours and unmetered + awaited + undecided == hours:
        return f"of {hours} component-hours {' and '.join(missing)}", None
    remarks = []
    if missing:
        remarks.append(f"without component-hours of {hours}: {' and '.join(missing)}")
    if going:
        remarks.append(f"provisional in {going} component-hours of {hours}: runs are still going")
    return None, "; ".join(remarks) or None


class _Sum(NamedTuple):
    """A known sum, without its interval.

    A remainder may be negative; its interval is that of its absolute value, mirrored.

    Attributes:
        value: The sum, kWh.
        errors: Errors of its parts.
        sizes: Its parts, kWh; their signs are changed if the sum is negative.
        source: Weakest evidence of its parts.
        remark: A remark on the sum.
    """

    value: float
    errors: tuple[Error, ...]
    sizes: list[float]
    source: Source
    remark: str | None

    def quantity(self, ends: Interval) -> Quantity:
        """The sum with an interval, given that of its absolute value."""
        low, high = (-ends.high, -ends.low) if self.value < 0 else (ends.low, ends.high)
        low, high = min(low, self.value), max(high, self.value)
        return Quantity(self.value, low, high, "kWh", self.source, self.remark)


def _sum(
    methods: tuple[Method, ...],
    errors: tuple[Error, ...],
    energies_j: Sequence[float],
    remark: str | None = None,
) -> _Sum | Quantity:
    if not any(energies_j):
        return _nothing(_weakest(methods), remark)
    parts_kwh = [joules_to_kwh(energy_j) for energy_j in energies_j]
    value = sum(parts_kwh)
    sizes = [-part for part in parts_kwh] if value < 0 else parts_kwh
    used = tuple([method for method, part in zip(methods, parts_kwh, strict=True) if part != 0])
    return _Sum(value, errors, sizes, _weakest(used), remark)


@lru_cache(maxsize=1024)
def _nothing(source: Source, remark: str | None) -> Quantity:
    return Quantity(0.0, 0.0, 0.0, "kWh", source, remark)


@lru_cache(maxsize=1024)
def _weakest(methods: tuple[Method, ...]) -> Source:
    return weakest(*{SOURCES[method] for method in methods})


@lru_cache(maxsize=1024)
def error_of(kind: str, name: str, method: Method, gain_std_ratio: float) -> Error:
    """The common error of the components of one product."""
    return gain_group(kind, name, method), gain_std_ratio, method in MODELS
