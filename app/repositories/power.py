"""SQL of power series: whole attempts, thinned out in the database."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

# Two neighboring readings make one step. ntile() cuts the steps of a component into
# even groups without gaps, so that no energy falls between two points; with no more steps
# than points each step stays its own point. Within a step the counter is trusted first
# and the integral where the counter is missing or was reset.
_SERIES = text(
    """
    WITH steps AS (
      SELECT
        attempt_id, component, seq, t_s,
        lead(t_s) OVER w - t_s AS duration_s,
        CASE
          WHEN lead(counter_j) OVER w >= counter_j
            AND NOT lead(flags) OVER w @> '["counter_reset"]'
          THEN lead(counter_j) OVER w - counter_j
          WHEN lead(integrated_j) OVER w >= integrated_j
          THEN lead(integrated_j) OVER w - integrated_j
        END AS energy_j,
        least(power_w, lead(power_w) OVER w) AS min_w,
        greatest(power_w, lead(power_w) OVER w) AS max_w
      FROM readings
      WHERE attempt_id = ANY(:attempt_ids)
      WINDOW w AS (PARTITION BY attempt_id, component ORDER BY t_s, seq)
    ), points AS (
      SELECT *, ntile(:points) OVER (PARTITION BY attempt_id, component ORDER BY t_s, seq) AS point
      FROM steps
      WHERE duration_s IS NOT NULL
    )
    SELECT
      attempt_id, component,
      count(*) AS steps,
      min(t_s) AS t_s,
      sum(duration_s) AS duration_s,
      sum(energy_j) AS energy_j,
      sum(energy_j) / nullif(sum(duration_s) FILTER (WHERE energy_j IS NOT NULL), 0) AS mean_w,
      min(min_w) AS min_w,
      max(max_w) AS max_w
    FROM points
    GROUP BY attempt_id, component, point
    ORDER BY attempt_id, component, point
    """
)


async def series(
    session: AsyncSession, attempt_ids: Sequence[uuid.UUID], points: int
) -> Sequence[Any]:
    """At most `points` points for each component of each attempt, in order of time.

    Args:
        session: Database session.
        attempt_ids: Whose readings.
        points: Most points per attempt and component.

    Returns:
        Rows of attempt_id, component, steps, t_s, duration_s, energy_j, mean_w, min_w,
        max_w. Their energies add up to that of the whole series, for every `points`.
    """
    parameters = {"attempt_ids": list(attempt_ids), "points": points}
    return (await session.execute(_SERIES, parameters)).all()
