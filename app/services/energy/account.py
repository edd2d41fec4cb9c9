"""The lab's energy account: energy used, charged to runs and unallocated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, cast

from pydantic_core import to_json

from app.db import Session
from app.repositories.energy import account as rows
from app.repositories.energy.rollups import Range
from app.repositories.nodes.nodes import list_nodes
from app.schemas.energy import EnergyBy, EnergyFigures, EnergyItem
from app.services.energy.failed import failed_work
from app.services.energy.intervals import intervals
from app.services.energy.labels import NO_USER, OTHER_PROJECTS, PRIVATE_PROJECTS
from app.services.energy.ranges import hours_of
from app.services.errors import NotFoundError
from app.services.principals import Principal
from app.services.similarity import did_you_mean, similar
from pricetag.accounting.bill.node_account import Account, Entry, accounts
from pricetag.accounting.quantity.quantity import Quantity as Figure

_NOTHING = dict.fromkeys(
    name for name in EnergyItem.model_fields if name not in EnergyFigures.model_fields
)
"""Identifying fields of an item, in order, each null."""

NOT_A_PROJECTS = "energy not charged to a run belongs to the nodes, not to a project"
NOT_A_USERS = "energy not charged to a run belongs to the nodes, not to a user"


class NodeNotFoundError(NotFoundError):
    """No node with this name has ever registered."""

    code = "node-not-found"


async def energy_account(
    session: Session,
    principal: Principal,
    *,
    start: datetime | None,
    stop: datetime | None,
    by: EnergyBy,
    node: str | None,
    now: datetime | None = None,
    every_hour: bool = False,
    compare: bool = False,
    failed: bool = False,
) -> bytes:
    """The energy account of a range of hours, as the JSON of an ``EnergyAccount``.

    It is written without the model: a month by hour has 3,600 quantities, and creating, validating
    and serializing each would take as long as everything else.

    Args:
        session: Database session.
        principal: The caller; projects hidden from them are summed in one item without a name.
        start: Beginning of the first hour; a week before ``stop`` by default.
        stop: End of the last hour; the end of the current hour by default.
        by: Grouping of the items. Grouped by project or user, the last item is the energy that
            belongs to none of them. Days and months are in UTC.
        node: Only this node.
        now: Present time; by default of the clocks of the server and of its database.
        every_hour: Whether to evaluate every hour now, without the roll-ups: slow, with the same
            result.
        compare: Whether to add the account of the same length before.
        failed: Whether to add the share of failed work.

    Raises:
        InvalidEnergyRangeError: If the range is empty, too long, in the future, or not of
            whole hours.
        NodeNotFoundError: If the node does not exist.
    """
    span = hours_of(start, stop, by, now or datetime.now(UTC))
    if node is not None:
        await require_node(session, node)
    hours = Range(span.start, span.stop, node, now)
    document, total = await _account(session, principal, by, hours, every_hour=every_hour)
    if compare:
        earlier = Range(span.start - (span.stop - span.start), span.start, node, now)
        before, total_before = await _account(
            session, principal, by, earlier, every_hour=every_hour
        )
        document |= {"before": before, "change": changes(total, total_before)}
    if failed:
        work = await failed_work(session, principal, by, hours)
        document["failed"] = work.model_dump()
    return to_json(document)


async def require_node(session: Session, name: str) -> None:
    """Requires that a node has registered or used energy.

    Raises:
        NodeNotFoundError: If it did not; the message has similar names.
    """
    if not await rows.knows_node(session, name):
        names = [row.name for row in await list_nodes(session)]
        raise NodeNotFoundError(
            f"Node '{name}' not found{did_you_mean(similar(name, names))}", field="node"
        )


async def _account(
    session: Session, principal: Principal, by: EnergyBy, hours: Range, *, every_hour: bool
) -> tuple[dict[str, Any], Account]:
    """The account of some hours, and its total."""
    if by == "project" or by == "user":
        sums = await rows.sums_by_owner(session, by, principal.viewer, hours, every_hour=every_hour)
        hidden = PRIVATE_PROJECTS if principal.project_id is None else OTHER_PROJECTS
        abouts, groups, everything = _by_owner(by, sums, hidden)
    else:
        sums = await rows.sums(session, by, hours, every_hour=every_hour)
        abouts, groups, everything = _by_key(by, sums)
    total, *figures = accounts([everything, *groups], intervals=intervals)
    document: dict[str, Any] = {
        "from": hours.start,
        "to": hours.stop,
        "by": by,
        "node": hours.node,
        "total": _figures(total),
        "items": [_item(about, figure) for about, figure in zip(abouts, figures, strict=True)],
        "before": None,
        "change": None,
        "failed": None,
    }
    return document, total


def changes(now: Account, before: Account) -> dict[str, Any]:
    """The totals of two periods of the same length, the later minus the earlier."""
    names = ("total_kwh", "charged_kwh", "unallocated_kwh")
    return {name: change(getattr(now, name), getattr(before, name)) for name in names}


def change(now: Figure, before: Figure) -> dict[str, Any]:
    """A difference; its ends hold for any correlation between the errors of the two periods."""
    ends = (now.value, now.low, now.high, before.value, before.low, before.high)
    if any(end is None for end in ends):
        return dict.fromkeys(("difference_kwh", "low", "high", "is_larger_than_error"))
    value, low, high, value_before, low_before, high_before = cast(Sequence[float], ends)
    least, most = low - high_before, high - low_before
    return {
        "difference_kwh": value - value_before,
        "low": least,
        "high": most,
        "is_larger_than_error": least > 0 or most < 0,
    }


def total_entry(row: Any) -> Entry:
    """The entry of a row that has only a total."""
    about = (row.kind, row.name, row.method, row.gain_std_ratio)
    return Entry(*about, row.total_j, 0.0, 0.0, 0.0, 0.0, row.hours, 0, 0)


def _entry(row: Sequence[Any], key: int) -> Entry:
    """The entry of a row, after its flag and the columns of its key."""
    return Entry._make(row[1 + key : -1])


_Groups = tuple[list[dict[str, Any]], list[list[Entry]], list[Entry]]
"""The identifying fields of each item, and its entries; then those of the total."""


def _by_key(by: EnergyBy, sums: Sequence[Sequence[Any]]) -> _Groups:
    abouts, groups = [], []
    items = (row for row in sums if not row[0])
    for (node, component, site, start), of_item in groupby(items, key=itemgetter(slice(1, 5))):
        entries = [_entry(row, 4) for row in of_item]
        about: dict[str, Any] = {"node": node, "component": component, "site": site}
        if component is not None:
            about |= {"kind": entries[0].kind, "name": entries[0].name}
        if start is not None:
            about[by] = _bucket(by, start)
        abouts.append(about)
        groups.append(entries)
    return abouts, groups, [_entry(row, 4) for row in sums if row[0]]


def _bucket(by: EnergyBy, start: datetime) -> Any:
    if by == "hour":
        return start
    day = start.astimezone(UTC).date()
    return day if by == "day" else f"{day:%Y-%m}"


def _by_owner(by: EnergyBy, sums: Sequence[Any], hidden: str) -> _Groups:
    abouts: list[dict[str, Any]] = []
    groups = []
    charges = (row for row in sums if not row[0])
    for (is_visible, owner), of_item in groupby(charges, key=itemgetter(slice(1, 3))):
        abouts.append({by: (owner or NO_USER) if is_visible else hidden})
        groups.append([_entry(row, 2) for row in of_item])
    total = [row for row in sums if row[0]]
    if total:
        abouts.append({by: None})
        groups.append([_rest(row) for row in total])
    return abouts, groups, [_entry(row, 2) for row in total]


def _rest(row: Any) -> Entry:
    return _entry(row, 2)._replace(total_j=row.rest_j, charged_j=0.0, running_j=0.0)


def _item(about: Mapping[str, Any], sums: Account) -> dict[str, Any]:
    not_theirs = {"project": NOT_A_PROJECTS, "user": NOT_A_USERS}
    for owner, reason in not_theirs.items():
        if about.get(owner) is not None:
            sums = replace(sums, unallocated_kwh=Figure.unknown("kWh", reason))
    return {**_figures(sums), **_NOTHING, **about}


def _figures(sums: Account) -> dict[str, Any]:
    return {
        "total_kwh": quantity(sums.total_kwh),
        "charged_kwh": quantity(sums.charged_kwh),
        "running_kwh": quantity(sums.running_kwh),
        "unallocated_kwh": quantity(sums.unallocated_kwh),
        "undecided_kwh": quantity(sums.undecided_kwh),
        "overallocated_kwh": sums.overallocated_kwh,
        "flags": sums.flags,
    }


def quantity(figure: Figure) -> dict[str, Any]:
    """A figure in the form of the API."""
    return {
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "unit": figure.unit,
        "source": figure.source,
        "reason": figure.reason,
    }
