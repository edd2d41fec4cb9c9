"""A node's account: what its components used, what runs were charged of it, what is left.

    unallocated = what the node's own meter read - what runs are charged

per component and hour, so that the sum over all of them is the lab's total. Where the node's own
meter did not run, or saw less of the hour than a run's did, the total is at least what runs were
charged, and what else was used is unknown. Of the present hour it is unknown until the node's
total has come. What runs are charged that are still going is apart, for it and the rest are
provisional until they end. Of an hour for which such a run has not reported yet the rest is
undecided, either the run's or the node's.

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
"""A run's meter and the node's are read each second, at moments of their own: over one hour
they may differ by one reading at either edge."""

REPORTED_EVERY_S = 60.0
"""Runs report each second, nodes their totals twice a minute: up to this much of the current hour
may be missing from a node's total."""

SOURCES: dict[Method, Source] = {
    "counter": "counter",
    "integrated": "integrated",
    "modelled": "modelled",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """The hours of all components of one product, summed.

    Attributes:
        kind: Of the components.
        name: Product name; its pieces share their meter's gain error.
        method: How their energy is measured.
        gain_std_ratio: Relative error of the gain, one sigma; of a model, a factor.
        total_j: What they used.
        charged_j: What runs that have ended were charged of it.
        unallocated_j: What is the node's; 0 for hours in which that is unknown.
        undecided_j: What is still to be booked to runs or to the node.
        overallocated_j: By how much charges exceed totals beyond the meters' edges.
        hours: Number of component-hours.
        unmetered_hours: Those without a usable total of the node's own, and none to come.
        open_hours: Those with runs that are still going.
        running_j: What such runs are charged so far.
        undecided_hours: Those for which such a run has not reported yet.
        awaited_hours: Those whose total the node has not reported yet, within the time it may take.
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
    """The figures of some entries, in kWh.

    Attributes:
        total_kwh: What was used, as far as it is known.
        charged_kwh: What runs that have ended were charged.
        running_kwh: What runs are charged so far that are going; provisional.
        unallocated_kwh: What is the node's; unknown where no hour is settled.
        undecided_kwh: What is either: open runs have not reported it yet.
        overallocated_kwh: By how much charges exceed totals; 0 where all is well.
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
    """Sum some entries, with 95% intervals.

    Components of one product share their meter's gain error, which adds linearly; others are
    independent. A remainder has the error of the meter that it was read with.

    Args:
        entries: Of any nodes, components and hours.
        seed: Of the Monte Carlo.
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
    # A remainder may be negative; its interval is that of its size, turned round.
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
