"""The energy account over time: each bucket's total, and its parts by use, place or owner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from app.db import Session
from app.repositories.energy import account as rows
from app.repositories.energy.rollups import Grain, Range
from app.schemas.common import Quantity
from app.schemas.energy import EnergyBucket, EnergyGroup, EnergyOverTime, TimeBy
from app.services.energy.account import require_node
from app.services.energy.intervals import intervals
from app.services.energy.labels import NO_USER, OTHER_PARTS, OTHER_PROJECTS, PRIVATE_PROJECTS
from app.services.energy.ranges import Hours, InvalidEnergyRangeError, hours_of
from app.services.principals import Principal
from pricetag.accounting.bill.node_account import (
    Account,
    Entry,
    Metered,
    Product,
    accounts,
    metered,
)
from pricetag.accounting.bill.node_account import totals as totals_of

MOST_GROUPS = 6
"""Maximum number of named groups; the smallest beyond it are combined."""

LONGEST: Mapping[bool, Mapping[Grain, timedelta]] = {
    False: {"hour": timedelta(days=31), "day": timedelta(days=366), "month": timedelta(days=3660)},
    True: {"hour": timedelta(days=7), "day": timedelta(days=92), "month": timedelta(days=3660)},
}
"""Longest range by grain: for uses, and for places and owners, which have many rows."""

USES = {
    "charged_kwh": "charged to runs",
    "running_kwh": "running runs so far",
    "unallocated_kwh": "unallocated",
    "undecided_kwh": "undecided",
}
NOT_CHARGED = "(not charged to runs)"
NO_SITE = "(no site)"

_Cells = dict[str, dict[datetime, dict[Product, float]]]
"""Energy by group, bucket and product, in J."""

_Parts = list[list[Any]]
"""The figure of each group, by bucket."""


@dataclass(frozen=True, slots=True)
class _Table:
    """Groups in their order, with the energy of each bucket."""

    cells: _Cells
    kinds: Mapping[str, str]


async def over_time(
    session: Session,
    principal: Principal,
    *,
    start: datetime | None,
    stop: datetime | None,
    by: TimeBy,
    grain: Grain | None,
    node: str | None,
    now: datetime | None = None,
) -> EnergyOverTime:
    """The account of a range, bucket by bucket, from the roll-ups.

    Args:
        session: Database session, only read.
        principal: The caller; projects hidden from them are one group without a name.
        start: Beginning of the first hour; a week before ``stop`` by default.
        stop: End of the last hour; the end of the current hour by default.
        by: Kind of the parts of each bucket.
        grain: Length of the buckets, in UTC; by default the finest of at most about 100 buckets.
        node: Only this node.
        now: Present time; by default of the clocks of the server and of its database.

    Raises:
        InvalidEnergyRangeError: If the range is invalid, or too long for the grain.
        NodeNotFoundError: If the node does not exist.
    """
    span, grain_used = buckets_of(start, stop, by, grain, now)
    if node is not None:
        await require_node(session, node)
    hours = Range(span.start, span.stop, node, now)
    totals: dict[datetime, list[Entry]] = defaultdict(list)
    for row in await rows.sums(session, grain_used, hours):
        if not row[0]:
            totals[row.start].append(Entry._make(row[5:-1]))
    starts = sorted(totals)
    if by == "use":
        used = accounts([totals[at] for at in starts], intervals=intervals)
        groups, parts = _by_use(used)
        buckets = [Metered(each.total_kwh, each.flags) for each in used]
    else:
        table = await _table(session, principal, by, grain_used, hours, totals)
        buckets, groups, parts = _by_group(table, totals, starts)
    return EnergyOverTime(
        start=span.start,
        stop=span.stop,
        by=by,
        grain=grain_used,
        node=node,
        groups=groups,
        buckets=[
            EnergyBucket.model_validate(
                {"start": at, "total_kwh": bucket.total_kwh, "parts_kwh": of, "flags": bucket.flags}
            )
            for at, bucket, of in zip(starts, buckets, parts, strict=True)
        ],
    )


def fitting(length: timedelta) -> Grain:
    """The finest grain with at most about 100 buckets."""
    if length <= timedelta(days=4):
        return "hour"
    return "day" if length <= timedelta(days=92) else "month"


def buckets_of(
    start: datetime | None,
    stop: datetime | None,
    by: TimeBy,
    grain: Grain | None,
    now: datetime | None = None,
) -> tuple[Hours, Grain]:
    """The hours of a request, and the length of its buckets.

    Args:
        start: Beginning of the first hour; a week before ``stop`` by default.
        stop: End of the last hour; the end of the current hour by default.
        by: Kind of the parts of each bucket.
        grain: Length of the buckets; by default the finest of at most about 100.
        now: Present time.

    Raises:
        InvalidEnergyRangeError: If the range is invalid, or too long for the grain.
    """
    span = hours_of(start, stop, "month", now or datetime.now(UTC))
    grain_used = grain or fitting(span.stop - span.start)
    _require_short(span, by, grain_used)
    return span, grain_used


def _require_short(span: Hours, by: TimeBy, grain: Grain) -> None:
    longest = LONGEST[by != "use"][grain]
    if span.stop - span.start > longest:
        raise InvalidEnergyRangeError(
            f"{span.start.isoformat()} to {span.stop.isoformat()} spans"
            f" {(span.stop - span.start).days} days; by {grain} and {by}, at most {longest.days}"
            " days can be requested at once: choose a longer grain or a shorter range.",
            field="grain",
        )


def _by_use(account_list: Sequence[Account]) -> tuple[list[EnergyGroup], _Parts]:
    used = [
        name
        for name in USES
        if any(getattr(account, name).value != 0.0 for account in account_list)
        or name == "charged_kwh"
    ]
    groups = [EnergyGroup(name=USES[name], kind="use") for name in used]
    return groups, [[getattr(account, name) for name in used] for account in account_list]


async def _table(
    session: Session,
    principal: Principal,
    by: TimeBy,
    grain: Grain,
    hours: Range,
    totals: Mapping[datetime, Sequence[Entry]],
) -> _Table:
    cells: _Cells = defaultdict(lambda: defaultdict(dict))
    kinds: dict[str, str] = {}
    if by == "project" or by == "user":
        hidden = PRIVATE_PROJECTS if principal.project_id is None else OTHER_PROJECTS
        viewer = principal.viewer
        charges = await rows.charges_over_time(session, by, viewer, grain, hours, MOST_GROUPS)
        for is_other, visible, owner, start, kind, name, method, ratio, total_j, _, _ in charges:
            group = (owner or NO_USER) if visible else hidden
            group = OTHER_PARTS if is_other else group
            kinds[group] = by if visible and owner else "others"
            _add(cells[group][start], (kind, name, method, ratio), total_j)
        ordered = _largest_first(cells)
        unallocated: dict[datetime, dict[Product, float]] = {}
        for at, entries in totals.items():
            unallocated[at] = {}
            for entry in entries:
                rest_j = entry.total_j - entry.charged_j - entry.running_j
                product = (entry.kind, entry.name, entry.method, entry.gain_std_ratio)
                _add(unallocated[at], product, rest_j)
        ordered[NOT_CHARGED] = unallocated
        return _Table(ordered, {**kinds, NOT_CHARGED: "not-charged"})
    if by == "node" or by == "component" or by == "site":
        most = await rows.largest(session, by, hours, MOST_GROUPS + 2)
        has_others = len(most) > MOST_GROUPS + 1
        largest = most[:MOST_GROUPS] if has_others else most
        for place, _ in largest:
            name = place or NO_SITE
            kinds[name], cells[name] = (by if place else "others"), defaultdict(dict)
        named = [place for place, _ in largest]
        # The lab's total without all other places is that of the largest, whose rows are the most.
        is_whole = has_others or hours.node is not None or not named
        rest = OTHER_PARTS if is_whole else (named.pop(0) or NO_SITE)
        sums = await rows.sums_over_time(session, by, grain, hours, named)
        for place_of, start, kind, name, method, ratio, total_j, _ in sums:
            group = rest if place_of is None else (place_of or NO_SITE)
            kinds.setdefault(group, "others")
            _add(cells[group][start], (kind, name, method, ratio), total_j)
    return _Table(cells, kinds)


def _add(energies_j: dict[Product, float], product: Product, energy_j: float) -> None:
    energies_j[product] = energies_j.get(product, 0.0) + energy_j


def _largest_first(cells: _Cells) -> _Cells:
    """The groups in the order of their sizes, with what has no group of its own at the end."""
    sizes = {
        name: sum(sum(energies_j.values()) for energies_j in of.values())
        for name, of in cells.items()
    }
    ordered = sorted(cells, key=lambda name: (name == OTHER_PARTS, -sizes[name], name))
    return {name: cells[name] for name in ordered}


def _by_group(
    table: _Table, totals: Mapping[datetime, list[Entry]], starts: Sequence[datetime]
) -> tuple[list[Metered], list[EnergyGroup], _Parts]:
    names = list(table.cells)
    wanted = [
        energies_j for at in starts for name in names if (energies_j := table.cells[name].get(at))
    ]
    buckets = metered([totals[at] for at in starts], intervals=intervals)
    figures = iter(totals_of(wanted, intervals=intervals))
    nothing = Quantity(value=0.0, low=0.0, high=0.0, unit="kWh", source=None, reason=None)
    parts: _Parts = [
        [next(figures) if table.cells[name].get(at) else nothing for name in names] for at in starts
    ]
    groups = [EnergyGroup(name=name, kind=table.kinds[name]) for name in names]
    return buckets, groups, parts
