"""What attempts are charged by the hour: the rows beside those of their node's own meter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from app.db import Session
from app.repositories import energy_hours
from models import Attempt
from pricetag.accounting.bill.live import LiveHour


async def book_running(
    session: Session, attempt: Attempt, hours: Mapping[str, Mapping[str, LiveHour]]
) -> None:
    """Writes what an open attempt is charged so far; its end writes all of its hours anew.

    Args:
        session: Committed by the caller, together with the readings.
        attempt: Open; locked by the caller.
        hours: By component, those whose charge has changed.
    """
    rows = [
        hour_row(attempt, component, datetime.fromisoformat(hour), one.energy_j, one.covered_s)
        for component in attempt.components
        for hour, one in hours.get(component["id"], {}).items()
    ]
    await energy_hours.put_attempt_hours(session, rows)


def hour_row(
    attempt: Attempt,
    component: Mapping[str, Any],
    hour: datetime,
    energy_j: float,
    covered_s: float,
    flags: Sequence[str] = (),
) -> dict[str, Any]:
    """One component's hour of an attempt, as it is stored."""
    return {
        "node_name": attempt.node_name,
        "component": component["id"],
        "name": component["name"],
        "kind": component["kind"],
        "method": component["method"],
        "gain_std_ratio": component["gain_std_ratio"],
        "hour": hour,
        "attempt_id": attempt.id,
        "site": attempt.site,
        "energy_j": energy_j,
        "covered_s": covered_s,
        # No hour's edge is a reading: that it lies between two says nothing.
        "flags": [flag for flag in flags if flag != "edge_interpolated"],
    }
