"""The power series by SQL over all readings as rows: slow, the reference for charts."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pricetag.accounting.readings.step_energy import (
    COUNTER_RESET,
    FROZEN_ABOVE_W,
    FROZEN_AFTER_S,
    IMPLAUSIBLE_POWER,
    RESET,
)

# Two consecutive readings form one step. ntile() divides the steps of a component into equal
# groups without gaps, so that no energy is lost between two points; if there are no more steps
# than points, each step is a point. The energy of a step is that of the counter, or of the
# integral if the counter is missing, was reset, jumped or does not advance. A stand is a sequence
# of readings with one counter value; energy that its counter catches up is not counted twice.
_SERIES = text(
    """
    WITH marked AS (
      SELECT
        attempt_id, component, seq, t_s, counter_j, integrated_j, power_w, flags,
        counter_j IS DISTINCT FROM lag(counter_j) OVER w AS moved
      FROM readings
      WHERE attempt_id = ANY(:attempt_ids)
      WINDOW w AS (PARTITION BY attempt_id, component ORDER BY t_s, seq)
    ), numbered AS (
      SELECT *, count(*) FILTER (WHERE moved) OVER w AS stand
      FROM marked
      WINDOW w AS (PARTITION BY attempt_id, component ORDER BY t_s, seq)
    ), stands AS (
      SELECT
        attempt_id, component, stand,
        max(t_s) - min(t_s) AS stood_s,
        max(integrated_j) - min(integrated_j) AS replaced_j
      FROM numbered
      WHERE counter_j IS NOT NULL
      GROUP BY attempt_id, component, stand
      HAVING max(t_s) - min(t_s) >= :frozen_after_s
    ), steps AS (
      SELECT
        attempt_id, component, seq, t_s,
        lead(t_s) OVER w - t_s AS duration_s,
        CASE
          WHEN lead(counter_j) OVER w = counter_j AND is_frozen
          THEN lead(integrated_j) OVER w - integrated_j
          WHEN lead(counter_j) OVER w >= counter_j
            AND NOT jsonb_exists_any(lead(flags) OVER w, :untrusted)
          THEN lead(counter_j) OVER w - counter_j
            - CASE
                WHEN is_frozen AND lead(counter_j) OVER w - counter_j >= replaced_j
                THEN replaced_j
                ELSE 0
              END
          WHEN lead(integrated_j) OVER w >= integrated_j
          THEN lead(integrated_j) OVER w - integrated_j
        END AS energy_j,
        least(power_w, lead(power_w) OVER w) AS min_w,
        greatest(power_w, lead(power_w) OVER w) AS max_w
      FROM numbered
      LEFT JOIN stands USING (attempt_id, component, stand)
      CROSS JOIN LATERAL (
        SELECT coalesce(
          component LIKE 'rapl:%' AND stood_s IS NOT NULL
            OR replaced_j > :frozen_above_w * stood_s,
          false
        ) AS is_frozen
      ) AS judged
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


async def slow_series(session: AsyncSession, attempt_id: uuid.UUID, points: int) -> list[Any]:
    """Rows of attempt_id, component, steps, t_s, duration_s, energy_j, mean_w, min_w, max_w."""
    parameters = {
        "attempt_ids": [attempt_id],
        "points": points,
        "frozen_after_s": FROZEN_AFTER_S,
        "frozen_above_w": FROZEN_ABOVE_W,
        "untrusted": [RESET, COUNTER_RESET, IMPLAUSIBLE_POWER],
    }
    return list((await session.execute(_SERIES, parameters)).all())
