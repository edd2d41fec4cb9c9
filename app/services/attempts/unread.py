"""Possible energy after the last reading of an attempt that is closed without its journal."""

from __future__ import annotations

import asyncio
from datetime import datetime

from app.db import Session
from app.repositories.readings import readings as reading_rows
from models import Attempt
from models.packed.columns import Columns
from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.unread import RECENT_S, UNREAD_S, unread_bound_j


async def unread_until_j(
    session: Session, attempt: Attempt, last_s: float, at: datetime
) -> dict[str, float] | None:
    """By component, the most that is charged after the last stored reading, in J.

    The job may have run until now, since the time at which its worker died or was cut off is
    unknown.

    Args:
        session: Only read.
        attempt: The attempt.
        last_s: Time of its last stored reading, on its meter's clock.
        at: Present time, UTC.
    """
    if attempt.meter_opened_at is None:
        return None
    until_s = max((at - attempt.meter_opened_at).total_seconds(), last_s + UNREAD_S)
    bounds_j: dict[str, float] = {}
    for stored in attempt.components:
        component = Component.from_dict(stored)
        columns = await reading_rows.columns(session, attempt.id, component.id)
        bound_j = await asyncio.to_thread(_bound_j, component, columns, until_s)
        if bound_j:
            bounds_j[component.id] = bound_j
    return bounds_j or None


def _bound_j(component: Component, columns: Columns, until_s: float) -> float | None:
    readings = list(columns.readings())
    recent_s = readings[-1].t_s - RECENT_S if readings else 0.0
    recent = [reading for reading in readings if reading.t_s >= recent_s]
    return unread_bound_j(component, recent, until_s)
