"""SQL of power series: segments from the levels of packed readings, and the rows behind them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.readings.readings import opened
from models.packed import levels
from models.packed.columns import Columns
from models.packed.columns import joined as joined_columns
from models.packed.levels import FACTORS
from models.packed.rows import FLAGS_SQL, ROWS_SQL, columns_of
from models.packed.steps import Segments, joined, steps_of

Key = tuple[uuid.UUID, str]
"""Attempt and component."""

EXACT_STEPS = 8192
"""Maximum number of packed steps of a component whose chart is made from its readings."""

ROWS, READINGS = 0, 1
"""Origin of a part of a series, if not a level: rows, or a block's readings."""

_STEPS = text(
    """
    SELECT attempt_id, component, sum(steps) AS steps
    FROM reading_blocks
    WHERE attempt_id = ANY(:attempt_ids)
    GROUP BY attempt_id, component
    """
)

_LEVEL = " ".join(
    f"WHEN wanted >= {factor} AND level_{factor} IS NOT NULL THEN {factor}"
    for factor in reversed(FACTORS)
)
_DATA = " ".join(f"WHEN {factor} THEN level_{factor}" for factor in FACTORS)

# One statement, and thus one snapshot: readings may move from rows to blocks at any time.
# Rows continue the last block, whose own steps they may change: then its readings are needed.
# Levels that need no further treatment come in one piece for each component.
_PARTS = text(
    f"""
    WITH chosen AS (
      SELECT * FROM unnest(
        CAST(:attempts AS uuid[]), CAST(:components AS text[]), CAST(:factors AS int[])
      ) AS chosen (attempt_id, component, factor)
    ), newest AS (
      SELECT attempt_id, component, max(first_seq) AS first_seq
      FROM reading_blocks
      WHERE attempt_id = ANY(:attempt_ids)
      GROUP BY attempt_id, component
    ), continued AS (
      SELECT * FROM newest WHERE EXISTS (
        SELECT FROM readings
        WHERE readings.attempt_id = newest.attempt_id AND readings.component = newest.component
      )
    ), parts AS (
      SELECT attempt_id, component, first_seq, last_seq, sha256, wanted, level.factor,
        CASE level.factor {_DATA} ELSE content END AS data
      FROM reading_blocks
      LEFT JOIN chosen USING (attempt_id, component)
      LEFT JOIN continued USING (attempt_id, component, first_seq)
      CROSS JOIN LATERAL (SELECT coalesce(chosen.factor, {READINGS}) AS wanted) AS asked
      CROSS JOIN LATERAL (
        SELECT CASE WHEN continued IS NOT NULL THEN {READINGS} {_LEVEL} ELSE {READINGS} END
      ) AS level (factor)
      WHERE attempt_id = ANY(:attempt_ids)
    )
    SELECT attempt_id, component, min(first_seq) AS first_seq, max(last_seq) AS last_seq,
      NULL::bytea AS sha256, factor, string_agg(data, '' ORDER BY first_seq) AS data,
      NULL::jsonb AS flags
    FROM parts
    WHERE factor = wanted AND factor > {levels.DEFLATED}
    GROUP BY attempt_id, component, factor
    UNION ALL
    SELECT attempt_id, component, first_seq, last_seq, sha256, factor, data, NULL
    FROM parts
    WHERE factor <> wanted OR factor <= {levels.DEFLATED}
    UNION ALL
    SELECT attempt_id, component, NULL, NULL, NULL, {ROWS}, {ROWS_SQL}, {FLAGS_SQL}
    FROM readings
    WHERE attempt_id = ANY(:attempt_ids)
    GROUP BY attempt_id, component
    ORDER BY attempt_id, component, first_seq NULLS LAST
    """.replace("::", r"\:\:")
)


async def series(
    session: AsyncSession, attempt_ids: Sequence[uuid.UUID], points: int
) -> dict[Key, Segments]:
    """Up to `points` segments for each component of each attempt, in order of time.

    Args:
        session: Database session.
        attempt_ids: The attempts.
        points: Maximum number of segments per attempt and component.

    Returns:
        The segments of every component with at least one step, by attempt and component. Their
        energies add up to the energy of the whole series, for any `points`.

    Raises:
        DamagedReadingsError: If packed readings or their levels cannot be read.
    """
    ids = list(attempt_ids)
    packed = (await session.execute(_STEPS, {"attempt_ids": ids})).all()
    factors: dict[Key, int] = {
        (row.attempt_id, row.component): factor_for(int(row.steps), points) for row in packed
    }
    parameters = {
        "attempt_ids": ids,
        "attempts": [attempt_id for attempt_id, _ in factors],
        "components": [component for _, component in factors],
        "factors": list(factors.values()),
    }
    parts = (await session.execute(_PARTS, parameters)).all()
    return await asyncio.to_thread(_all_series, parts, factors, points)


def factor_for(steps: int, points: int) -> int:
    """Steps in a segment that give at least half as many segments as points, or 1."""
    if steps <= EXACT_STEPS:
        return 1
    return next((factor for factor in FACTORS[::-1] if 2 * steps >= factor * points), 1)


def _all_series(
    parts: Iterable[Any], factors: Mapping[Key, int], points: int
) -> dict[Key, Segments]:
    by_key = groupby(parts, lambda part: (part.attempt_id, part.component))
    series = {key: _series(key[1], list(own), factors.get(key, 1)) for key, own in by_key}
    return {key: segments.at_most(points) for key, segments in series.items() if len(segments)}


def _series(component: str, parts: Sequence[Any], factor: int) -> Segments:
    rows = parts[-1] if parts[-1].factor == ROWS else None
    last_block = parts[-2:-1] if rows is not None else []
    blocks = parts[: len(parts) - len(last_block) - (rows is not None)]
    segments = [_block(component, part).every(factor // part.factor) for part in blocks]
    if rows is not None:
        newest = [_opened(component, block) for block in last_block]
        columns = joined_columns([*newest, columns_of(rows.data, rows.flags)])
        segments.append(steps_of(component, columns).every(factor))
    return joined(segments)


def _block(component: str, part: Any) -> Segments:
    if part.factor != READINGS:
        return levels.decoded(part.factor, [part.data])
    return steps_of(component, _opened(component, part))


def _opened(component: str, part: Any) -> Columns:
    return opened(component, part.data, part)
