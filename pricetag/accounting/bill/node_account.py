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

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pricetag.accounting.quantity.gain import gain_group
from pricetag.accounting.quantity.quantity import Quantity, Source, weakest
from pricetag.accounting.quantity.uncertainty import Interval, Term, combine
from pricetag.accounting.readings.component import ComponentKind
from pricetag.accounting.readings.reading import Method
from pricetag.accounting.readings.sharing import OVERALLOCATED
from pricetag.accounting.units import joules_to_kwh

READ_EVERY_S = 2.0
"""Interval between readings, in s. The meters of a run and of its node are read at different
times, so that over one hour they may differ by one reading at either edge."""

REPORTED_EVERY_S = 60.0
"""Maximum delay of a node's total behind a run's reports, in s: runs report every second, nodes
twice a minute."""

SOURCES: dict[Method, Source] = {
    "counter": "counter",
    "integrated": "integrated",
    "modelled": "modelled",
}


@dataclass(frozen=True, slots=True)
class Entry:
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
    unmetered = sum(entry.unmetered_hours for entry in entries)
    awaited = sum(entry.awaited_hours for entry in entries)
    still_open = sum(entry.open_hours for entry in entries)
    over_j = sum(entry.overallocated_j for entry in entries)
    remarks = {
        OVERALLOCATED: over_j > 0,
        "node_not_metered": unmetered > 0,
        "node_total_awaited": awaited > 0,
        "runs_open": still_open > 0,
    }
    return Account(
        total_kwh=_sum(entries, lambda entry: entry.total_j, seed),
        charged_kwh=_sum(entries, lambda entry: entry.charged_j, seed),
        running_kwh=_sum(entries, lambda entry: entry.running_j, seed),
        unallocated_kwh=_unallocated(entries, seed),
        undecided_kwh=_sum(entries, lambda entry: entry.undecided_j, seed),
        overallocated_kwh=joules_to_kwh(over_j),
        flags=tuple(sorted(name for name, holds in remarks.items() if holds)),
    )


def _unallocated(entries: Sequence[Entry], seed: int) -> Quantity:
    hours = sum(entry.hours for entry in entries)
    unmetered = sum(entry.unmetered_hours for entry in entries)
    awaited = sum(entry.awaited_hours for entry in entries)
    undecided = sum(entry.undecided_hours for entry in entries)
    going = sum(entry.open_hours for entry in entries) - undecided
    missing = []
    if unmetered:
        missing.append(f"{unmetered} in which the node's own meter did not run throughout")
    if awaited:
        late = f"the node's own total is not in yet (it comes up to {REPORTED_EVERY_S:.0f} s late)"
        missing.append(f"{awaited} of which {late}")
    if undecided:
        missing.append(f"{undecided} for which open runs have not reported yet")
    if hours and unmetered + awaited + undecided == hours:
        return Quantity.unknown("kWh", f"of {hours} component-hours {' and '.join(missing)}")
    remarks = []
    if missing:
        remarks.append(f"without component-hours of {hours}: {' and '.join(missing)}")
    if going:
        remarks.append(f"provisional in {going} component-hours of {hours}: runs are still going")
    return _sum(entries, lambda entry: entry.unallocated_j, seed, "; ".join(remarks) or None)


def _sum(
    entries: Sequence[Entry],
    energy_j: Callable[[Entry], float],
    seed: int,
    remark: str | None = None,
) -> Quantity:
    if not entries:
        return Quantity.unknown("kWh", "nothing was metered in this time")
    parts = [(entry, joules_to_kwh(energy_j(entry))) for entry in entries]
    value = sum(part for _, part in parts)
    # A remainder may be negative; its interval is that of its absolute value, mirrored.
    sign = -1.0 if value < 0 else 1.0
    ends = combine([_term(entry, sign * part) for entry, part in parts], seed=seed)
    interval = ends if sign > 0 else Interval(-ends.high, -ends.low)
    used = [SOURCES[entry.method] for entry, part in parts if part != 0]
    source = weakest(*(used or [SOURCES[entry.method] for entry in entries]))
    low, high = min(interval.low, value), max(interval.high, value)
    return Quantity(value, low, high, "kWh", source, remark)


def _term(entry: Entry, value_kwh: float) -> Term:
    modelled = entry.method == "modelled"
    group = gain_group(entry.kind, entry.name, entry.method)
    return Term(value_kwh, group, entry.gain_std_ratio, multiplicative=modelled)
