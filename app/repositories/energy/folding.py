"""SQL that folds pending hours into the roll-ups, and compares the two.

Only one transaction folds at a time. It locks marks that no open transaction holds, evaluates their
hours in a separate statement (which therefore sees everything that the former holders committed),
adds the differences to every level and deletes the marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.energy.judging import CHARGED, JUDGED, MEASURES, PRODUCT, VALUES
from app.repositories.energy.rollups import negative, of, superseded
from app.repositories.energy.series import (
    KEY,
    OWN_KEY,
    PARENT_KINDS,
    SUMMED,
    parent_key,
    summed_in,
)
from pricetag.accounting.bill.node_account import REPORTED_EVERY_S

LOCK = 0x70726963_666F6C64

SETTLED_AFTER_S = 3600.0 + REPORTED_EVERY_S + 240.0
"""Time after the beginning of an hour at which its total is no longer awaited, with four minutes
for differences between clocks."""

_LIST = ", ".join(MEASURES)
_PRODUCT = ", ".join(PRODUCT)
_SUMMED = ", ".join(f"sum({name}) AS {name}" for name in MEASURES)
_ANY = " OR ".join(f"sum({name}) <> 0" for name in MEASURES)


def _same(own: str, other: str) -> str:
    """Whether two rows are of one series, as a condition that can be hashed."""
    product = " AND ".join(f"{own}.{name} = {other}.{name}" for name in ("scope", *PRODUCT))
    hashed = " AND ".join(
        f"coalesce({own}.{name}::text, '') = coalesce({other}.{name}::text, '')" for name in OWN_KEY
    )
    exact = f"({of(own, OWN_KEY)}) IS NOT DISTINCT FROM ({of(other, OWN_KEY)})"
    return f"{product} AND {hashed} AND {exact}"


_FRESH_TABLE = """
    CREATE TEMPORARY TABLE IF NOT EXISTS energy_fresh (
      scope text, node_name text, component text, site text, project_id uuid, user_id uuid,
      kind text, name text, method text, gain_std_ratio float8, start timestamptz,
      hours int, unmetered_hours int, open_hours int, undecided_hours int,
      charged_j numeric, running_j numeric, unallocated_j numeric, undecided_j numeric,
      overallocated_j numeric
    ) ON COMMIT DELETE ROWS
"""

_SETTLED = """
    hour <= coalesce(CAST(:now AS timestamptz), now())
      - make_interval(secs => CAST(:after_s AS float8))
"""

# Newest month first; in order within it, so that its rows are next to each other.
_TAKEN = f"""
    SELECT id, node_name, hour FROM energy_pending
    WHERE {_SETTLED} AND hour >= coalesce(CAST(:start AS timestamptz), (
        SELECT date_trunc('month', max(hour), 'UTC') FROM energy_pending WHERE {_SETTLED}))
      AND hour < coalesce(CAST(:stop AS timestamptz), 'infinity')
    ORDER BY hour LIMIT :limit FOR UPDATE SKIP LOCKED
"""

_CHOSEN = """
    chosen_hours AS MATERIALIZED (
      SELECT DISTINCT node_name, hour
      FROM unnest(CAST(:nodes AS text[]), CAST(:hours AS timestamptz[])) AS t (node_name, hour)
    )
"""

CONTRIBUTIONS = f"""
    SELECT 'component' AS scope, node_name, component, site,
      CAST(NULL AS uuid) AS project_id, CAST(NULL AS uuid) AS user_id,
      {_PRODUCT}, hour AS start, {_LIST}
    FROM judged
    UNION ALL
    SELECT 'charge', node_name, NULL, NULL, project_id, user_id, {_PRODUCT}, hour, {_LIST}
    FROM charged
"""
"""The contribution of the evaluated hours to each series, hour by hour."""

_FRESH = f"""
    WITH {_CHOSEN}, {JUDGED}, {CHARGED}
    INSERT INTO energy_fresh ({", ".join(KEY)}, start, {_LIST})
    {CONTRIBUTIONS}
"""

_PARENT_KEY = ("parent_scope", *(f"parent_{name}" for name in OWN_KEY))

_NEW_PARENTS = f"""
    WITH f AS (
      SELECT DISTINCT {of("wanted", _PARENT_KEY)}, {_PRODUCT} FROM (
        SELECT p.parent_scope, {parent_key("f")}, {of("f", PRODUCT)}
        FROM (SELECT DISTINCT {", ".join(KEY)} FROM energy_fresh) AS f
        JOIN {PARENT_KINDS} ON p.child = f.scope) AS wanted
    ), named ({", ".join(KEY)}) AS (SELECT * FROM f)
    INSERT INTO energy_series ({", ".join(KEY)})
    SELECT {of("named", KEY)} FROM named
    WHERE NOT EXISTS (SELECT FROM energy_series AS s WHERE {_same("s", "named")})
"""

_OF_PARENT = " AND ".join(
    (
        "parent.scope = wanted.parent_scope",
        *(f"parent.{name} = wanted.{name}" for name in PRODUCT),
        *(
            f"coalesce(parent.{name}::text, '') = coalesce(wanted.parent_{name}::text, '')"
            for name in OWN_KEY
        ),
        *(f"parent.{name} IS NOT DISTINCT FROM wanted.parent_{name}" for name in OWN_KEY),
    )
)

# Materialized: the planner takes the new series for one, and would look up every series' likes.
_NEW_SERIES = f"""
    WITH f AS (SELECT DISTINCT {", ".join(KEY)} FROM energy_fresh), fresh AS MATERIALIZED (
      SELECT f.* FROM f
      WHERE NOT EXISTS (SELECT FROM energy_series AS s WHERE {_same("s", "f")})
    ), wanted AS MATERIALIZED (
      SELECT fresh.*, p.place, p.parent_scope, {parent_key("fresh")}
      FROM fresh JOIN {PARENT_KINDS} ON p.child = fresh.scope
    ), parent AS MATERIALIZED (
      SELECT * FROM energy_series WHERE scope IN ({", ".join(f"'{name}'" for name in SUMMED)})
    )
    INSERT INTO energy_series (parents, {", ".join(KEY)})
    SELECT array_agg(parent.id ORDER BY wanted.place), {of("wanted", KEY)}
    FROM wanted JOIN parent ON {_OF_PARENT}
    GROUP BY {of("wanted", KEY)}
"""


def _carried(level: str) -> str:
    """The differences of a level's rows, those of their parents with them."""
    start = "start" if level == "hour" else f"date_trunc('{level}', start, 'UTC')"
    return f"""
        SELECT series_id, {start} AS start, {_SUMMED} FROM differences GROUP BY 1, 2
        UNION ALL
        SELECT parent.id, {start}, {_SUMMED}
        FROM differences AS d CROSS JOIN unnest({summed_in("d", level)}) AS parent (id)
        GROUP BY 1, 2
    """


def _put(level: str) -> str:
    # In order, so that the rows that a request reads together are on few pages.
    added = ", ".join(f"{name} = r.{name} + excluded.{name}" for name in MEASURES)
    return f"""
        INSERT INTO energy_rollup_{level}s AS r (series_id, start, {_LIST})
        SELECT * FROM ({_carried(level)}) AS carried ORDER BY start, series_id
        ON CONFLICT (series_id, start) DO UPDATE SET {added}
    """


_FOLD = f"""
    WITH {_CHOSEN}, before AS (
      {superseded("component", "r.start")}
      UNION ALL
      {superseded("charge", "r.start")}
    ), differences AS MATERIALIZED (
      SELECT series_id, parents, scope, start, {_SUMMED}
      FROM (
        SELECT s.id AS series_id, s.parents, s.scope, f.start, {of("f", MEASURES)}
        FROM energy_fresh AS f JOIN energy_series AS s ON {_same("s", "f")}
        UNION ALL
        SELECT s.id, s.parents, s.scope, b.start, {negative("b", MEASURES)}
        FROM before AS b JOIN energy_series AS s ON s.id = b.series_id
      ) AS signed
      GROUP BY 1, 2, 3, 4 HAVING {_ANY}
    ), put_hours AS ({_put("hour")}), put_days AS ({_put("day")}), put_months AS ({_put("month")})
    SELECT count(*) FROM differences
"""


async def try_lock(session: AsyncSession) -> bool:
    """Whether this transaction is the only one that folds."""
    query = text("SELECT pg_try_advisory_xact_lock(:key)")
    return bool((await session.execute(query, {"key": LOCK})).scalar_one())


async def lock(session: AsyncSession) -> None:
    """Waits until this transaction is the only one that folds."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})


async def take_pending(
    session: AsyncSession,
    limit: int,
    *,
    start: datetime | None = None,
    stop: datetime | None = None,
    now: datetime | None = None,
) -> Sequence[Any]:
    """Marks (id, node_name, hour) of settled hours that no open transaction holds.

    They are locked: any later change of one of their hours adds a new mark.

    Args:
        session: Database session.
        limit: Maximum number of marks.
        start: Of the first hour; by default of the newest month that has any.
        stop: End of the hours, exclusive.
        now: The present; None for the database's clock.
    """
    values = {"limit": limit, "start": start, "stop": stop, "now": now}
    return (await session.execute(text(_TAKEN), values | {"after_s": SETTLED_AFTER_S})).all()


async def fold(session: AsyncSession, marks: Sequence[Any], now: datetime | None = None) -> int:
    """Brings the roll-ups up to date with the hours of some marks, and deletes the marks.

    Args:
        session: Holds the lock of ``try_lock`` and those of the marks, from statements before.
        marks: Of ``take_pending``.
        now: The present; None for the database's clock.

    Returns:
        Number of changed sums of an hour.
    """
    if not marks:
        return 0
    hours = {"nodes": [mark.node_name for mark in marks], "hours": [mark.hour for mark in marks]}
    await session.execute(text("SET LOCAL work_mem = '64MB'"))
    await session.execute(text("SET LOCAL enable_mergejoin = off"))  # would sort by five texts
    await session.execute(text(_FRESH_TABLE))
    await session.execute(text(_FRESH), hours | VALUES | {"now": now})
    await session.execute(text("ANALYZE energy_fresh"))
    await session.execute(text(_NEW_PARENTS))
    await session.execute(text(_NEW_SERIES))
    changed: int = (await session.execute(text(_FOLD), hours)).scalar_one()
    await session.execute(text("DELETE FROM energy_fresh"))
    delete = text("DELETE FROM energy_pending WHERE id = ANY(CAST(:ids AS bigint[]))")
    await session.execute(delete, {"ids": [mark.id for mark in marks]})
    return changed


class Waiting(NamedTuple):
    """Marks of settled hours: their number and their newest hour."""

    number: int
    newest: datetime | None


async def waiting(session: AsyncSession, now: datetime | None = None) -> Waiting:
    """Number of marks of settled hours, and the last hour."""
    query = text(f"SELECT count(*), max(hour) FROM energy_pending WHERE {_SETTLED}")
    values = {"now": now, "after_s": SETTLED_AFTER_S}
    return Waiting._make((await session.execute(query, values)).one())
