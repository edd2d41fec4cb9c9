"""The lab's energy account: energy used, charged to runs and left to the nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from app.db import Session
from app.repositories import energy_account as rows
from app.repositories.energy_rollups import Range
from app.schemas.common import Quantity
from app.schemas.energy import EnergyAccount, EnergyBy, EnergyFigures, EnergyItem
from app.services.energy.intervals import intervals
from app.services.energy.ranges import hours_of
from app.services.errors import NotFoundError
from app.services.principals import Principal
from pricetag.accounting.bill.node_account import Account, Entry, accounts
from pricetag.accounting.quantity.quantity import Quantity as Figure

PRIVATE_PROJECTS = "(private projects)"
"""Label for the sum of the projects that the caller may not see."""

OTHER_PROJECTS = "(other projects)"
"""The same label for a token that is limited to one project."""

NO_USER = "(no user)"
"""Label for the sum of the runs whose user is unknown."""

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
) -> EnergyAccount:
    """The energy account of a range of hours.

    Args:
        session: Database session.
        principal: The caller; projects hidden from them are summed in one item without a name.
        start: Beginning of the first hour; a week before ``stop`` by default.
        stop: End of the last hour; the end of the current hour by default.
        by: Grouping of the items. Grouped by project or user, the last item is the energy that
            belongs to none of them. Days and months are in UTC.
        node: Only this node.
        now: Present time; by default of the clocks of the server and of its database.
        every_hour: Judge every hour now, without the roll-ups: slow, with the same result.

    Raises:
        InvalidEnergyRangeError: If the range is empty, too long, in the future, or not of
            whole hours.
        NodeNotFoundError: If the node does not exist.
    """
    span = hours_of(start, stop, by, now or datetime.now(UTC))
    if node is not None and not await rows.knows_node(session, node):
        raise NodeNotFoundError(f"There is no node {node!r}.", field="node")
    hours = Range(span.start, span.stop, node, now)
    if by == "project" or by == "user":
        sums = await rows.sums_by_owner(session, by, principal.viewer, hours, every_hour=every_hour)
        hidden = PRIVATE_PROJECTS if principal.project_id is None else OTHER_PROJECTS
        abouts, groups = _by_owner(by, sums, hidden)
    else:
        sums = await rows.sums(session, by, hours, every_hour=every_hour)
        abouts, groups = _by_key(by, sums)
    everything = [_entry(row) for row in sums if row.is_total]
    total, *figures = accounts([everything, *groups], intervals=intervals)
    return EnergyAccount(
        start=span.start,
        stop=span.stop,
        by=by,
        node=node,
        total=EnergyFigures(**_figures(total)),
        items=[_item(about, one) for about, one in zip(abouts, figures, strict=True)],
    )


def _entry(row: Any) -> Entry:
    return Entry(
        kind=row.kind,
        name=row.name,
        method=row.method,
        gain_std_ratio=row.gain_std_ratio,
        total_j=row.total_j,
        charged_j=row.charged_j,
        unallocated_j=row.unallocated_j,
        undecided_j=row.undecided_j,
        overallocated_j=row.overallocated_j,
        hours=row.hours,
        unmetered_hours=row.unmetered_hours,
        open_hours=row.open_hours,
        running_j=row.running_j,
        undecided_hours=row.undecided_hours,
        awaited_hours=row.awaited_hours,
    )


_Groups = tuple[list[dict[str, Any]], list[list[Entry]]]
"""The identifying fields of each item, and its entries."""


def _by_key(by: EnergyBy, sums: Iterable[Any]) -> _Groups:
    abouts, groups = [], []
    items = (row for row in sums if not row.is_total)
    for key, group in groupby(
        items, key=lambda row: (row.node_name, row.component, row.site, row.start)
    ):
        node, component, site, start = key
        entries = [_entry(row) for row in group]
        about: dict[str, Any] = {"node": node, "component": component, "site": site}
        if component is not None:
            about |= {"kind": entries[0].kind, "name": entries[0].name}
        if start is not None:
            about[by] = _bucket(by, start)
        abouts.append(about)
        groups.append(entries)
    return abouts, groups


def _bucket(by: EnergyBy, start: datetime) -> Any:
    if by == "hour":
        return start
    day = start.astimezone(UTC).date()
    return day if by == "day" else f"{day:%Y-%m}"


def _by_owner(by: EnergyBy, sums: Iterable[Any], hidden: str) -> _Groups:
    abouts: list[dict[str, Any]] = []
    groups = []
    charges = (row for row in sums if not row.is_total)
    for (is_visible, owner), group in groupby(charges, key=lambda row: (row.visible, row.owner)):
        abouts.append({by: (owner or NO_USER) if is_visible else hidden})
        groups.append([_entry(row) for row in group])
    rest = [_rest(row) for row in sums if row.is_total]
    if rest:
        abouts.append({by: None})
        groups.append(rest)
    return abouts, groups


def _rest(row: Any) -> Entry:
    return replace(_entry(row), total_j=row.rest_j, charged_j=0.0, running_j=0.0)


def _item(about: Mapping[str, Any], sums: Account) -> EnergyItem:
    not_theirs = {"project": NOT_A_PROJECTS, "user": NOT_A_USERS}
    for owner, reason in not_theirs.items():
        if about.get(owner) is not None:
            sums = replace(sums, unallocated_kwh=Figure.unknown("kWh", reason))
    return EnergyItem(**about, **_figures(sums))


def _figures(sums: Account) -> Mapping[str, Any]:
    return {
        "total_kwh": Quantity.model_validate(sums.total_kwh.as_dict()),
        "charged_kwh": Quantity.model_validate(sums.charged_kwh.as_dict()),
        "running_kwh": Quantity.model_validate(sums.running_kwh.as_dict()),
        "unallocated_kwh": Quantity.model_validate(sums.unallocated_kwh.as_dict()),
        "undecided_kwh": Quantity.model_validate(sums.undecided_kwh.as_dict()),
        "overallocated_kwh": sums.overallocated_kwh,
        "flags": list(sums.flags),
    }
