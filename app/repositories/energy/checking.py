"""SQL that compares the roll-ups with the hours, and rebuilds their upper levels."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.energy.folding import CONTRIBUTIONS
from app.repositories.energy.judging import CHARGED, JUDGED, MEASURES, VALUES
from app.repositories.energy.rollups import negative, of
from app.repositories.energy.series import KEY, summed_in

Level = Literal["hour", "day", "month"]
LEVELS: tuple[Level, ...] = ("hour", "day", "month")

_LIST = ", ".join(MEASURES)
_SUMMED = ", ".join(f"sum({name}) AS {name}" for name in MEASURES)
_ANY = " OR ".join(f"sum({name}) <> 0" for name in MEASURES)

_WITHIN = "r.start >= :start AND r.start < :stop"

_SPAN = """
    SELECT least(
      (SELECT min(hour) FROM energy_hours), (SELECT min(start) FROM energy_rollup_hours)
    ) AS start, greatest(
      (SELECT max(hour) FROM energy_hours), (SELECT max(start) FROM energy_rollup_hours)
    ) AS stop
"""

_MARK = """
    INSERT INTO energy_pending (node_name, hour)
    SELECT node_name, hour FROM energy_hours WHERE hour >= :start AND hour < :stop
    UNION
    SELECT s.node_name, r.start FROM energy_rollup_hours AS r
    JOIN energy_series AS s ON s.id = r.series_id AND s.node_name IS NOT NULL
    WHERE r.start >= :start AND r.start < :stop
    EXCEPT
    SELECT node_name, hour FROM energy_pending WHERE hour >= :start AND hour < :stop
"""

_WRONG_HOURS = f"""
    WITH chosen_hours AS MATERIALIZED (
      SELECT node_name, hour FROM energy_hours WHERE hour >= :start AND hour < :stop
      EXCEPT
      SELECT node_name, hour FROM energy_pending WHERE hour >= :start AND hour < :stop
    ), {JUDGED}, {CHARGED}, contributions AS ({CONTRIBUTIONS}), signed AS (
      SELECT {of("c", KEY)}, c.start, {of("c", MEASURES)} FROM contributions AS c
      UNION ALL
      SELECT {of("s", KEY)}, r.start, {negative("r", MEASURES)}
      FROM energy_rollup_hours AS r JOIN energy_series AS s ON s.id = r.series_id
      WHERE {_WITHIN} AND s.scope IN ('component', 'charge') AND NOT EXISTS (
        SELECT FROM energy_pending AS p WHERE p.hour = r.start AND p.node_name = s.node_name)
    )
    SELECT 'hour' AS level, {of("signed", KEY)}, start, {_SUMMED} FROM signed
    GROUP BY {of("signed", KEY)}, start HAVING {_ANY}
    ORDER BY start, node_name, component
"""


def _expected(level: Level) -> str:
    """The expected rows of a level from the hours of components and charges, by series and
    start."""
    start = "r.start" if level == "hour" else f"date_trunc('{level}', r.start, 'UTC')"
    rows = "FROM energy_rollup_hours AS r JOIN energy_series AS s ON s.id = r.series_id"
    of_hours = f"WHERE {_WITHIN} AND s.scope IN ('component', 'charge')"
    parents = f"""
        SELECT parent.id AS series_id, {start} AS start, {of("r", MEASURES)}
        {rows} CROSS JOIN unnest({summed_in("s", level)}) AS parent (id) {of_hours}
    """
    if level == "hour":
        return parents
    return f"""
        SELECT r.series_id, {start} AS start, {of("r", MEASURES)} {rows} {of_hours}
        UNION ALL {parents}
    """


def _stored(level: Level) -> str:
    """The condition of the rows that ``_expected`` is about."""
    summed = "SELECT id FROM energy_series WHERE scope NOT IN ('component', 'charge')"
    return f"{_WITHIN} AND r.series_id IN ({summed})" if level == "hour" else _WITHIN


def _wrong(level: Level) -> str:
    return f"""
        SELECT '{level}' AS level, {of("s", KEY)}, signed.start, {_SUMMED}
        FROM (
          {_expected(level)}
          UNION ALL
          SELECT r.series_id, r.start, {negative("r", MEASURES)}
          FROM energy_rollup_{level}s AS r WHERE {_stored(level)}
        ) AS signed JOIN energy_series AS s ON s.id = signed.series_id
        GROUP BY {of("s", KEY)}, signed.start HAVING {_ANY}
        ORDER BY start, node_name, component
    """


async def span(session: AsyncSession) -> tuple[datetime, datetime] | None:
    """The first and the last hour of the account; None without any."""
    row = (await session.execute(text(_SPAN))).one()
    return None if row.start is None else (row.start, row.stop)


async def mark(session: AsyncSession, start: datetime, stop: datetime) -> None:
    """Marks all hours in ``[start, stop)`` as pending."""
    await session.execute(text(_MARK), {"start": start, "stop": stop})


async def wrong_hours(
    session: AsyncSession, start: datetime, stop: datetime, now: datetime | None = None
) -> Sequence[Any]:
    """Hours whose roll-ups differ from their evaluation, except pending ones.

    Returns:
        Rows of level, key of the series, start and the differences.
    """
    values = {"start": start, "stop": stop, "now": now} | VALUES
    return (await session.execute(text(_WRONG_HOURS), values)).all()


async def wrong_sums(
    session: AsyncSession, level: Level, start: datetime, stop: datetime
) -> Sequence[Any]:
    """Roll-ups of a level that differ from the sum of the hours they are made of, likewise.

    Args:
        session: Database session.
        level: Of ``hour``, the sums of several series.
        start: Beginning of a UTC month.
        stop: Likewise, later.
    """
    values = {"start": start, "stop": stop}
    return (await session.execute(text(_wrong(level)), values)).all()


async def make_anew(session: AsyncSession, start: datetime, stop: datetime) -> None:
    """Rebuilds all levels above the hours of components and charges, for some UTC months.

    The caller holds the lock of folding.
    """
    values = {"start": start, "stop": stop}
    for level in LEVELS:
        table = f"energy_rollup_{level}s"
        await session.execute(text(f"DELETE FROM {table} AS r WHERE {_stored(level)}"), values)
        await session.execute(
            text(
                f"INSERT INTO {table} (series_id, start, {_LIST})"
                f" SELECT series_id, start, {_SUMMED} FROM ({_expected(level)}) AS rows"
                " GROUP BY 1, 2 HAVING sum(hours) > 0"
            ),
            values,
        )
