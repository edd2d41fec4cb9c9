"""Failed work: the share of energy used by attempts without a result."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from app.db import Session
from app.repositories.energy import failed as rows
from app.repositories.energy.failed import Owner
from app.repositories.energy.rollups import Range
from app.schemas.energy import EnergyBy, FailedItem, FailedWork
from app.services.energy.labels import NO_USER, OTHER_PROJECTS, PRIVATE_PROJECTS
from app.services.principals import Principal
from pricetag.accounting.quantity.quantity import SOURCES

FAILED = ("failed", "interrupted", "lost")


async def failed_work(
    session: Session, principal: Principal, by: EnergyBy, hours: Range
) -> FailedWork:
    """The energy of attempts that ended in some hours, by final status.

    Args:
        session: Database session.
        principal: The caller; projects hidden from them are one item without a name.
        by: Grouping of the account; by project or user, there are items too.
        hours: The hours, and the node if only one is asked for.
    """
    owner: Owner | None = by if by == "project" or by == "user" else None
    by_status = await rows.by_status(
        session, owner, principal.viewer, hours.start, hours.stop, hours.node
    )
    hidden = PRIVATE_PROJECTS if principal.project_id is None else OTHER_PROJECTS
    items = []
    if owner is not None:
        for (is_visible, name), group in groupby(
            by_status, key=lambda row: (row.visible, row.owner)
        ):
            shown = (name or NO_USER) if is_visible else hidden
            items.append(FailedItem(name=shown, **figures_of(list(group))))
    return FailedWork(**figures_of(by_status), items=items)


def figures_of(rows: Sequence[Any], unknown: str = "unknown") -> dict[str, Any]:
    """The figures of attempts by final status.

    Args:
        rows: Rows of status, attempts, it_energy_kwh, weakest and a number of unknown ones.
        unknown: Name of the column of that number.
    """
    by_status: dict[str, float] = {}
    for row in rows:
        by_status[row.status] = by_status.get(row.status, 0.0) + row.it_energy_kwh
    total = sum(by_status.values())
    lost = sum(by_status.get(status, 0.0) for status in FAILED)
    missing = sum(getattr(row, unknown) for row in rows)
    places = [row.weakest for row in rows if row.status in FAILED and row.weakest is not None]
    return {
        "it_energy_kwh": lost,
        "source": SOURCES[max(places, default=1) - 1],
        "share_ratio": lost / total if total and not missing else None,
        "attempts": sum(row.attempts for row in rows if row.status in FAILED),
        "unknown_attempts": missing,
        "by_status": by_status,
    }
