"""Power over time at the requested resolution; downsampling preserves the energy."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from app.db import Session
from app.repositories.attempts import attempts as attempt_rows
from app.repositories.readings import power
from app.schemas.series import AttemptPower, PowerSeries, RunPower
from app.services.errors import AttemptNotFoundError, PricetagError
from models import Attempt
from models.packed.codec import DamagedReadingsError
from models.packed.columns import Floats
from models.packed.steps import Segments
from pricetag.accounting import units

DEFAULT_POINTS = 2000
MAX_POINTS = 5000


class ReadingsDamagedError(PricetagError):
    """Stored readings differ from those that were packed."""

    code = "readings-damaged"


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
        ReadingsDamagedError: If its packed readings cannot be read.
    """
    selected = select_attempts(await attempt_rows.of_run(session, run_id), attempt)
    try:
        series = await power.series(session, [item.id for item in selected], points)
    except DamagedReadingsError as error:
        raise ReadingsDamagedError(f"{error}.") from error
    return RunPower(
        run_id=run_id,
        attempts=[
            AttemptPower(
                attempt=item.number,
                status=item.status,
                started_at=item.started_at,
                series=_all_series(item, series),
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


def _all_series(attempt: Attempt, series: Mapping[power.Key, Segments]) -> list[PowerSeries]:
    described = {entry["id"]: entry for entry in attempt.components}
    return [
        _series(component, described.get(component, {}), segments)
        for (attempt_id, component), segments in series.items()
        if attempt_id == attempt.id
    ]


def _series(component: str, described: dict[str, Any], segments: Segments) -> PowerSeries:
    energies_kwh = [
        None if energy_j is None else units.joules_to_kwh(energy_j)
        for energy_j in _or_none(segments.energy_j)
    ]
    metered_kwh = [energy for energy in energies_kwh if energy is not None]
    has_mean = ~np.isnan(segments.energy_j) & (segments.covered_s > 0)
    covered_s = np.where(has_mean, segments.covered_s, np.nan)
    return PowerSeries.model_construct(  # valid by construction
        component=component,
        kind=described.get("kind"),
        name=described.get("name"),
        method=described.get("method"),
        downsampled=bool((segments.steps > 1).any()),
        energy_kwh=sum(metered_kwh) if metered_kwh else None,
        t_s=segments.t_s.tolist(),
        duration_s=segments.duration_s.tolist(),
        mean_w=_or_none(segments.energy_j / covered_s),
        min_w=_or_none(segments.min_w),
        max_w=_or_none(segments.max_w),
        energy_kwh_points=energies_kwh,
    )


def _or_none(values: Floats) -> list[float | None]:
    """Python values, with None for NaN."""
    listed: list[float | None] = values.tolist()
    for index in np.flatnonzero(np.isnan(values)):
        listed[index] = None
    return listed
