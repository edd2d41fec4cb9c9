"""The lab's energy account: energy used, charged to runs and left to the nodes, by the hour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from app.db import Session
from app.repositories import energy_account as rows
from app.schemas.common import Quantity
from app.schemas.energy import EnergyAccount, EnergyBy, EnergyFigures, EnergyItem
from app.services.errors import InvalidError, NotFoundError
from app.services.principals import Principal
from pricetag.accounting.bill.node_account import (
    READ_EVERY_S,
    REPORTED_EVERY_S,
    Account,
    Entry,
    account,
)
from pricetag.accounting.quantity.quantity import Quantity as Figure

HOUR = timedelta(hours=1)
DEFAULT_SPAN = timedelta(days=7)
LONGEST = timedelta(days=366)
LONGEST_BY_HOUR = timedelta(days=31)

PRIVATE_PROJECTS = "(private projects)"
"""Label for the sum of the projects that the caller may not see."""

OTHER_PROJECTS = "(other projects)"
"""The same label for a token that is limited to one project."""

NOT_A_PROJECTS = "energy not charged to a run belongs to the nodes, not to a project"


class InvalidEnergyRangeError(InvalidError):
    """The requested range of hours is invalid."""

    code = "invalid-energy-range"


class NodeNotFoundError(NotFoundError):
    """No node with this name has ever registered."""

    code = "node-not-found"


@dataclass(frozen=True, slots=True)
class Hours:
    """Full UTC hours, end exclusive."""

    start: datetime
    stop: datetime


async def energy_account(
    session: Session,
    principal: Principal,
    *,
    start: datetime | None,
    stop: datetime | None,
    by: EnergyBy,
    node: str | None,
    now: datetime | None = None,
) -> EnergyAccount:
    """The energy account of a range of hours.

    Args:
        session: Database session.
        principal: The caller; projects hidden from them are summed in one item without a name.
        start: Beginning of the first hour; a week before ``stop`` by default.
        stop: End of the last hour; the end of the current hour by default.
        by: Grouping of the items. Grouped by project, the last item is the energy that belongs
            to no project.
        node: Only this node.
        now: Present time.

    Raises:
        InvalidEnergyRangeError: If the range is empty, too long, in the future, or not of
            whole hours.
        NodeNotFoundError: If the node does not exist.
    """
    present = now or datetime.now(UTC)
    hours = hours_of(start, stop, by, present)
    if node is not None and not await rows.knows_node(session, node):
        raise NodeNotFoundError(f"There is no node {node!r}.", field="node")
    begin, end = hours.start, hours.stop
    grouped: rows.By = "node" if by == "project" else by
    sums = await rows.sums(
        session,
        grouped,
        start=begin,
        stop=end,
        node=node,
        edge_s=READ_EVERY_S,
        late_s=REPORTED_EVERY_S,
        now=present,
    )
    everything = [_entry(row) for row in sums]
    if by == "project":
        charged = await rows.sums_by_project(
            session, principal.viewer, start=begin, stop=end, node=node
        )
        hidden = PRIVATE_PROJECTS if principal.project_id is None else OTHER_PROJECTS
        items = _by_project(charged, everything, hidden)
    else:
        items = _items(sums)
    return EnergyAccount(
        start=begin,
        stop=end,
        by=by,
        node=node,
        total=EnergyFigures(**_figures(account(_merged(everything)))),
        items=items,
    )


def hours_of(start: datetime | None, stop: datetime | None, by: EnergyBy, now: datetime) -> Hours:
    """The requested hours.

    Raises:
        InvalidEnergyRangeError: If the range is invalid.
    """
    end = _whole_hour(stop, "to") if stop is not None else _floor(now) + HOUR
    try:
        begin = _whole_hour(start, "from") if start is not None else end - DEFAULT_SPAN
    except OverflowError as error:
        raise InvalidEnergyRangeError("'to' is too early.", field="to") from error
    if begin >= end:
        raise InvalidEnergyRangeError(
            f"'from' ({begin.isoformat()}) must be before 'to' ({end.isoformat()}).", field="from"
        )
    if begin > now:
        raise InvalidEnergyRangeError(
            f"'from' ({begin.isoformat()}) is in the future.", field="from"
        )
    longest = LONGEST_BY_HOUR if by == "hour" else LONGEST
    if end - begin > longest:
        raise InvalidEnergyRangeError(
            f"{begin.isoformat()} to {end.isoformat()} spans {(end - begin).days} days;"
            f" by {by}, at most {longest.days} days can be requested at once.",
            field="from",
        )
    return Hours(begin, end)


def _whole_hour(moment: datetime, field: str) -> datetime:
    try:
        utc = moment.astimezone(UTC)
    except OverflowError as error:
        raise InvalidEnergyRangeError(
            f"{field!r} cannot be converted to UTC.", field=field
        ) from error
    if utc != _floor(utc):
        raise InvalidEnergyRangeError(
            f"Energy is stored by UTC hour: {field!r} must be a full hour, e.g."
            f" {_floor(utc).isoformat()}, not {utc.isoformat()}.",
            field=field,
        )
    return utc


def _floor(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


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


def _merged(entries: Iterable[Entry]) -> list[Entry]:
    """One entry per product, summed over nodes and hours."""
    merged: dict[tuple[Any, ...], Entry] = {}
    for entry in entries:
        key = (entry.kind, entry.name, entry.method, entry.gain_std_ratio)
        existing = merged.get(key)
        merged[key] = entry if existing is None else _added(existing, entry)
    return list(merged.values())


def _added(first: Entry, second: Entry) -> Entry:
    return replace(
        first,
        total_j=first.total_j + second.total_j,
        charged_j=first.charged_j + second.charged_j,
        unallocated_j=first.unallocated_j + second.unallocated_j,
        undecided_j=first.undecided_j + second.undecided_j,
        overallocated_j=first.overallocated_j + second.overallocated_j,
        hours=first.hours + second.hours,
        unmetered_hours=first.unmetered_hours + second.unmetered_hours,
        open_hours=first.open_hours + second.open_hours,
        running_j=first.running_j + second.running_j,
        undecided_hours=first.undecided_hours + second.undecided_hours,
        awaited_hours=first.awaited_hours + second.awaited_hours,
    )


def _items(sums: Sequence[Any]) -> list[EnergyItem]:
    items = []
    for (node, component, hour), group in groupby(
        sums, key=lambda row: (row.node_name, row.component, row.hour)
    ):
        entries = [_entry(row) for row in group]
        first = entries[0] if component is not None else None
        items.append(
            EnergyItem(
                node=node,
                component=component,
                kind=first.kind if first else None,
                name=first.name if first else None,
                project=None,
                hour=hour,
                **_figures(account(entries)),
            )
        )
    return items


def _by_project(
    charged: Sequence[Any], everything: Sequence[Entry], hidden: str
) -> list[EnergyItem]:
    items = []
    for project, group in groupby(charged, key=lambda row: row.project):
        sums = account([_charge(row) for row in group])
        unknown = Figure.unknown("kWh", NOT_A_PROJECTS)
        items.append(_project_item(project or hidden, replace(sums, unallocated_kwh=unknown)))
    if everything:
        rest = account([_rest(entry) for entry in _merged(everything)])
        items.append(_project_item(None, rest))
    return items


def _charge(row: Any) -> Entry:
    return Entry(
        kind=row.kind,
        name=row.name,
        method=row.method,
        gain_std_ratio=row.gain_std_ratio,
        total_j=row.charged_j + row.running_j,
        charged_j=row.charged_j,
        unallocated_j=0.0,
        undecided_j=0.0,
        overallocated_j=0.0,
        hours=row.hours,
        unmetered_hours=0,
        open_hours=row.open_hours,
        running_j=row.running_j,
    )


def _rest(entry: Entry) -> Entry:
    left_j = entry.total_j - entry.charged_j - entry.running_j
    return replace(entry, total_j=left_j, charged_j=0.0, running_j=0.0)


def _project_item(project: str | None, sums: Account) -> EnergyItem:
    return EnergyItem(
        node=None,
        component=None,
        kind=None,
        name=None,
        project=project,
        hour=None,
        **_figures(sums),
    )


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
