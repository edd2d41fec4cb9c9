"""SQL that folds the running balances and counts, checks them and rebuilds them.

The database's triggers only ever add lines to the balances, so that no two transactions wait for
each other there. A difference between the balances and their rows is computed in one statement, so
in one snapshot, and repaired by adding it: lines that others write in the meantime are added to it.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import date
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

FOLD_LOCK = 0x70726963_666F6C64

_SCOPES = """
CROSS JOIN LATERAL (VALUES
    ('lab', CAST('00000000-0000-0000-0000-000000000000' AS uuid)), ('project', c.project_id),
    ('experiment', c.experiment_id), ('user', c.user_id)) AS its (scope, scope_id)
"""

_SPEND_KEY = (
    *("scope", "scope_id", "grain", "day", "currency"),
    *("energy_source", "co2e_source", "cost_source"),
)
_SPEND_SUMS = (
    *("attempts", "energies", "co2es", "costs"),
    *("facility_energy_kwh", "co2e_kg", "cost"),
)
_REPEAT_KEY = ("scope", "scope_id", "metric", "currency", "day", "earlier_day")
_REPEAT_SUMS = ("pairs",)
_RESERVE_KEY = ("scope", "scope_id", "currency")
_RESERVE_SUMS = ("runs", "facility_energy_kwh", "co2e_kg", "cost")

_WORK_KEY = (
    *("project_id", "user_id", "status", "grain", "day", "currency"),
    *("it_source", "energy_source", "co2e_source", "cost_source"),
)
_WORK_SUMS = (
    *("attempts", "it_energies", "energies", "co2es", "costs"),
    *("it_energy_kwh", "facility_energy_kwh", "co2e_kg", "cost"),
)

_TABLES = {
    "work_balances": (_WORK_KEY, _WORK_SUMS),
    "spend_balances": (_SPEND_KEY, _SPEND_SUMS),
    "spend_repeats": (_REPEAT_KEY, _REPEAT_SUMS),
    "reserve_balances": (_RESERVE_KEY, _RESERVE_SUMS),
    "run_counts": (("scope", "scope_id"), ("runs",)),
}
WITHOUT_DAYS = ("reserve_balances", "run_counts")
"""Tables without a time dimension."""


def _decimal(column: str) -> str:
    return f"CAST(CAST(c.{column} AS text) AS numeric)"


_IN_DAYS = (
    "at >= CAST(CAST(:first AS date) AS timestamp) AT TIME ZONE 'UTC'"
    " AND at < CAST(CAST(:end AS date) AS timestamp) AT TIME ZONE 'UTC'"
)

_TRUE_SPEND = f"""
SELECT its.scope, its.scope_id, grain.name AS grain,
    CAST(date_trunc(grain.name, c.at AT TIME ZONE 'UTC') AS date) AS day, c.currency,
    CASE WHEN c.facility_energy_kwh IS NOT NULL THEN c.sources ->> 'facility_energy_kwh' END
        AS energy_source,
    CASE WHEN c.co2e_kg IS NOT NULL THEN c.sources ->> 'co2e_kg' END AS co2e_source,
    CASE WHEN c.cost IS NOT NULL THEN c.sources ->> 'cost' END AS cost_source,
    count(*) AS attempts, count(c.facility_energy_kwh) AS energies, count(c.co2e_kg) AS co2es,
    count(c.cost) AS costs, coalesce(sum({_decimal("facility_energy_kwh")}), 0)
        AS facility_energy_kwh, coalesce(sum({_decimal("co2e_kg")}), 0) AS co2e_kg,
    coalesce(sum(c.cost), 0) AS cost
FROM spend AS c {_SCOPES} CROSS JOIN (VALUES ('day'), ('month')) AS grain (name)
WHERE {_IN_DAYS} AND its.scope_id IS NOT NULL
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
"""

# A figure's unknown attempts; for money any two attempts, and for each currency of the run how
# its pairs of attempts that are not in this currency differ from that.
_TRUE_REPEATS = f"""
SELECT scope, scope_id, metric, in_currency AS currency, day, earlier_day, sum(weight) AS pairs
FROM (
    SELECT its.scope, its.scope_id, c.metric, c.in_currency, c.weight,
        CAST(c.at AT TIME ZONE 'UTC' AS date) AS day,
        lag(CAST(c.at AT TIME ZONE 'UTC' AS date)) OVER (
            PARTITION BY c.weight, c.run_id, its.scope, its.scope_id, c.metric, c.in_currency
            ORDER BY c.at, c.attempt_id
        ) AS earlier_day
    FROM (
        WITH several AS MATERIALIZED (
            SELECT * FROM (
                SELECT s.*, count(*) OVER (PARTITION BY s.run_id) AS attempts FROM spend AS s
                WHERE s.run_id IN (SELECT run_id FROM spend WHERE {_IN_DAYS})
            ) AS counted
            WHERE attempts > 1
        ), paid AS (
            SELECT DISTINCT run_id, currency AS in_currency
            FROM several WHERE cost IS NOT NULL AND currency IS NOT NULL
        )
        SELECT s.*, 'facility_energy_kwh' AS metric, CAST(NULL AS varchar) AS in_currency,
            1 AS weight
        FROM several AS s WHERE facility_energy_kwh IS NULL
        UNION ALL SELECT s.*, 'co2e_kg', NULL, 1 FROM several AS s WHERE co2e_kg IS NULL
        UNION ALL SELECT s.*, 'cost', NULL, 1 FROM several AS s
        UNION ALL SELECT s.*, 'cost', p.in_currency, -1
        FROM several AS s JOIN paid AS p USING (run_id)
        UNION ALL SELECT s.*, 'cost', p.in_currency, 1
        FROM several AS s JOIN paid AS p USING (run_id)
        WHERE s.cost IS NULL OR s.currency IS DISTINCT FROM p.in_currency
    ) AS c {_SCOPES}
    WHERE its.scope_id IS NOT NULL
) AS followed
WHERE earlier_day IS NOT NULL AND day >= :first AND day < :end
GROUP BY 1, 2, 3, 4, 5, 6
"""

_TRUE_WORK = f"""
SELECT c.project_id, c.user_id, a.status, grain.name AS grain,
    CAST(date_trunc(grain.name, c.at AT TIME ZONE 'UTC') AS date) AS day, c.currency,
    CASE WHEN c.it_energy_kwh IS NOT NULL THEN c.sources ->> 'it_energy_kwh' END AS it_source,
    CASE WHEN c.facility_energy_kwh IS NOT NULL THEN c.sources ->> 'facility_energy_kwh' END
        AS energy_source,
    CASE WHEN c.co2e_kg IS NOT NULL THEN c.sources ->> 'co2e_kg' END AS co2e_source,
    CASE WHEN c.cost IS NOT NULL THEN c.sources ->> 'cost' END AS cost_source,
    count(*) AS attempts, count(c.it_energy_kwh) AS it_energies,
    count(c.facility_energy_kwh) AS energies, count(c.co2e_kg) AS co2es, count(c.cost) AS costs,
    coalesce(sum({_decimal("it_energy_kwh")}), 0) AS it_energy_kwh,
    coalesce(sum({_decimal("facility_energy_kwh")}), 0) AS facility_energy_kwh,
    coalesce(sum({_decimal("co2e_kg")}), 0) AS co2e_kg, coalesce(sum(c.cost), 0) AS cost
FROM spend AS c JOIN attempts AS a ON a.id = c.attempt_id
CROSS JOIN (VALUES ('day'), ('month')) AS grain (name)
WHERE {_IN_DAYS}
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
"""

_TRUE_RESERVE_BALANCES = f"""
SELECT its.scope, its.scope_id, c.currency, count(*) AS runs,
    sum(c.facility_energy_kwh) AS facility_energy_kwh, sum(c.co2e_kg) AS co2e_kg,
    sum(c.cost) AS cost
FROM reserves AS c {_SCOPES} WHERE its.scope_id IS NOT NULL
GROUP BY 1, 2, 3
"""

_TRUE_RUN_COUNTS = """
SELECT 'project' AS scope, project_id AS scope_id, count(*) AS runs FROM runs GROUP BY 2
UNION ALL SELECT 'experiment', experiment_id, count(*) FROM runs GROUP BY 2
"""

_TRUE_RESERVES = """
SELECT * FROM (
    SELECT run.id AS run_id, run.project_id, run.experiment_id, run.created_by AS user_id,
        greatest(CAST(CAST(quote.facility_energy_kwh AS text) AS numeric)
            - coalesce(used.facility_energy_kwh, 0), 0) AS facility_energy_kwh,
        greatest(CAST(CAST(quote.co2e_kg AS text) AS numeric) - coalesce(used.co2e_kg, 0), 0)
            AS co2e_kg,
        greatest(quote.cost - coalesce(used.cost, 0), 0) AS cost, quote.currency
    FROM runs AS run
    JOIN quotes AS quote ON quote.run_id = run.id
    CROSS JOIN LATERAL (
        SELECT sum(CAST(CAST(s.facility_energy_kwh AS text) AS numeric)) AS facility_energy_kwh,
            sum(CAST(CAST(s.co2e_kg AS text) AS numeric)) AS co2e_kg,
            sum(s.cost) FILTER (WHERE s.currency = quote.currency) AS cost
        FROM spend AS s WHERE s.run_id = run.id
    ) AS used
    WHERE run.status IN ('queued', 'running')
) AS reserved
WHERE facility_energy_kwh > 0 OR co2e_kg > 0 OR cost > 0
"""

_TRUE = {
    "work_balances": (_TRUE_WORK, "WHERE day >= :first AND day < :end"),
    "spend_balances": (_TRUE_SPEND, "WHERE day >= :first AND day < :end"),
    "spend_repeats": (_TRUE_REPEATS, "WHERE day >= :first AND day < :end"),
    "reserve_balances": (_TRUE_RESERVE_BALANCES, ""),
    "run_counts": (_TRUE_RUN_COUNTS, ""),
}


def _differences(table: str) -> str:
    """The amount missing from each sum of a table; nothing if all sums are right."""
    (key, sums), (true, rows) = _TABLES[table], _TRUE[table]
    keys = ", ".join(key)
    less = ", ".join(f"-{name}" for name in sums)
    more = ", ".join(f"sum({name}) AS {name}" for name in sums)
    wrong = " OR ".join(f"sum({name}) <> 0" for name in sums)
    return (
        f"SELECT {keys}, {more} FROM ({true} UNION ALL SELECT {keys}, {less} FROM {table} {rows})"
        f" AS compared GROUP BY {keys} HAVING {wrong}"
    )


def _days(table: str, first: date | None, end: date | None) -> dict[str, Any]:
    return {} if table in WITHOUT_DAYS else {"first": first, "end": end}


async def differences(
    session: AsyncSession, table: str, first: date | None = None, end: date | None = None
) -> Sequence[Any]:
    """The keys of wrong sums in a table of balances, and the amounts missing from them.

    Args:
        session: Database session.
        table: ``spend_balances``, ``spend_repeats``, ``work_balances`` or one of
            `WITHOUT_DAYS`.
        first: First UTC day to compare, the first one of a month; not for `WITHOUT_DAYS`.
        end: Day after the last one, the first one of a month.
    """
    return (await session.execute(text(_differences(table)), _days(table, first, end))).all()


async def mend(
    session: AsyncSession, table: str, first: date | None = None, end: date | None = None
) -> int:
    """Adds the missing amounts to a table of balances; returns the number of wrong keys.

    Waits while another process folds or repairs.
    """
    key, sums = _TABLES[table]
    lock = text("SELECT pg_advisory_xact_lock(:key)")
    await session.execute(lock, {"key": FOLD_LOCK})
    statement = f"""
        INSERT INTO {table} ({", ".join((*key, *sums))}, folded)
        SELECT *, true FROM ({_differences(table)}) AS wrong
        {_added_up(table)} RETURNING id
    """
    mended = await session.execute(text(statement), _days(table, first, end))
    return len(mended.all())


def _added_up(table: str) -> str:
    key, sums = _TABLES[table]
    raised = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in sums)
    return f"ON CONFLICT ({', '.join(key)}) WHERE folded DO UPDATE SET {raised}"


async def wrong_reserves(session: AsyncSession) -> Sequence[uuid.UUID]:
    """The runs whose reserve differs from the rest of their quote."""
    columns = (
        "run_id, project_id, experiment_id, user_id, facility_energy_kwh, co2e_kg, cost, currency"
    )
    query = f"""
        WITH due AS MATERIALIZED ({_TRUE_RESERVES})
        SELECT run_id FROM (SELECT {columns} FROM due EXCEPT SELECT {columns} FROM reserves)
            AS missing
        UNION
        SELECT run_id FROM (SELECT {columns} FROM reserves EXCEPT SELECT {columns} FROM due)
            AS extra
    """
    return (await session.execute(text(query))).scalars().all()


async def mend_reserves(session: AsyncSession, run_ids: Collection[uuid.UUID]) -> None:
    """Writes the reserves of some runs again; the runs are locked."""
    query = """
        SELECT pricetag_reserve(ARRAY(
            SELECT id FROM runs WHERE id = ANY (CAST(:ids AS uuid[])) ORDER BY id
            FOR NO KEY UPDATE))
    """
    await session.execute(text(query), {"ids": list(run_ids)})


async def fold(session: AsyncSession) -> int:
    """Adds up the lines of each key; returns the number of lines added since the last time.

    One process at a time does so; for the others there is nothing to do.
    """
    lock = text("SELECT pg_try_advisory_xact_lock(:key)")
    if not (await session.execute(lock, {"key": FOLD_LOCK})).scalar_one():
        return 0
    folded = 0
    for table, (key, sums) in _TABLES.items():
        keys, names = ", ".join(key), ", ".join(sums)
        totals = ", ".join(f"sum({name})" for name in sums)
        query = f"""
            WITH fresh AS (DELETE FROM {table} WHERE NOT folded RETURNING {keys}, {names}),
            summed AS (
                INSERT INTO {table} ({keys}, {names}, folded)
                SELECT {keys}, {totals}, true FROM fresh GROUP BY {keys}
                {_added_up(table)}
            )
            SELECT count(*) FROM fresh
        """
        folded += (await session.execute(text(query))).scalar_one()
    # A lab has few open runs beside all those that once were: their keys need not stay.
    empty = " AND ".join(f"{name} = 0" for name in _RESERVE_SUMS)
    await session.execute(text(f"DELETE FROM reserve_balances WHERE folded AND {empty}"))
    return folded


async def months(session: AsyncSession) -> list[date]:
    """The first days of the months that have attempts or balances, newest first."""
    query = """
        SELECT CAST(generate_series(
            date_trunc('month', min(day)), date_trunc('month', max(day)), interval '1 month'
        ) AS date)
        FROM (
            SELECT CAST(min(at) AT TIME ZONE 'UTC' AS date) AS day FROM spend
            UNION ALL SELECT CAST(max(at) AT TIME ZONE 'UTC' AS date) FROM spend
            UNION ALL SELECT min(day) FROM spend_balances
            UNION ALL SELECT max(day) FROM spend_balances
        ) AS ends
        ORDER BY 1 DESC
    """
    return list((await session.execute(text(query))).scalars())
