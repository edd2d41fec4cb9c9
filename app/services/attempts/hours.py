"""Hourly charges of attempts: rows beside those of the node's own meter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from app.db import Session
from app.repositories.energy import hours as energy_hours
from models import Attempt
from pricetag.accounting.bill.live import LiveHour


async def book_running(
    session: Session, attempt: Attempt, hours: Mapping[str, Mapping[str, LiveHour]]
) -> None:
    """Writes an open attempt's charge so far; its end replaces all of its hours.

    Args:
        session: Committed by the caller, together with the readings.
        attempt: An open attempt; locked by the caller.
        hours: Hours whose charge has changed, by component.
    """
    rows = [
        hour_row(attempt, component, datetime.fromisoformat(hour), part.energy_j, part.covered_s)
        for component in attempt.components
        for hour, part in hours.get(component["id"], {}).items()
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
    """One component's hour of an attempt, as a row of the table."""
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
        # The start of an hour never coincides with a reading, so that flag means nothing here.
        "flags": [flag for flag in flags if flag != "edge_interpolated"],
    }
