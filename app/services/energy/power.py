"""Power over time at the requested resolution; downsampling preserves the energy."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from app.db import Session
from app.repositories import attempts as attempt_rows
from app.repositories import power
from app.schemas.series import AttemptPower, PowerSeries, RunPower
from app.services.errors import AttemptNotFoundError
from models import Attempt
from pricetag.accounting import units

DEFAULT_POINTS = 2000
MAX_POINTS = 5000


async def run_power(
    session: Session, run_id: uuid.UUID, attempt: int | None, points: int
) -> RunPower:
    """Power of every component of a run's attempts.

    Args:
        session: Database session.
        run_id: An existing run.
        attempt: Number of one attempt, or None for all.
        points: Maximum number of points per component and attempt.

    Raises:
        AttemptNotFoundError: If the run has no such attempt.
    """
    selected = select_attempts(await attempt_rows.of_run(session, run_id), attempt)
    rows = await power.series(session, [item.id for item in selected], points)
    by_attempt = {key: list(group) for key, group in groupby(rows, lambda row: row.attempt_id)}
    return RunPower(
        run_id=run_id,
        attempts=[
            AttemptPower(
                attempt=item.number,
                status=item.status,
                started_at=item.started_at,
                series=_all_series(item, by_attempt.get(item.id, [])),
            )
            for item in selected
        ],
    )


def select_attempts(attempts: Sequence[Attempt], number: int | None) -> list[Attempt]:
    """All attempts, or the one with a number.

    Raises:
        AttemptNotFoundError: If no attempt has this number.
    """
    if number is None:
        return list(attempts)
    matching = [attempt for attempt in attempts if attempt.number == number]
    if not matching:
        raise AttemptNotFoundError(f"The run has no attempt {number}.", field="attempt")
    return matching


def _all_series(attempt: Attempt, rows: Sequence[Any]) -> list[PowerSeries]:
    described = {entry["id"]: entry for entry in attempt.components}
    return [
        _series(component, described.get(component, {}), list(points))
        for component, points in groupby(rows, lambda row: row.component)
    ]


def _series(component: str, described: dict[str, Any], rows: Sequence[Any]) -> PowerSeries:
    energies = [units.joules_to_kwh(r.energy_j) if r.energy_j is not None else None for r in rows]
    metered = [energy for energy in energies if energy is not None]
    return PowerSeries(
        component=component,
        kind=described.get("kind"),
        name=described.get("name"),
        downsampled=any(row.steps > 1 for row in rows),
        energy_kwh=sum(metered) if metered else None,
        t_s=[row.t_s for row in rows],
        duration_s=[row.duration_s for row in rows],
        mean_w=[row.mean_w for row in rows],
        min_w=[row.min_w for row in rows],
        max_w=[row.max_w for row in rows],
        energy_kwh_points=energies,
    )
