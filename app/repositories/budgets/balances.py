"""SQL that reads spent and reserved amounts of budgets from the running balances.

Whole days and months come from the balances, the edges of a period from the attempts that ended
in them. One statement, so one snapshot, for any number of budgets.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.budgets.spend import SpentPart
from models import Budget
from models.balance import LAB
from pricetag.accounting.budgets.periods import Span
from pricetag.accounting.budgets.pieces import Days, Pieces, pieces_of

NO_DAYS = Days(date.min, date.min)


@dataclass(slots=True)
class Amounts:
    """Amounts of one budget in one period.

    Attributes:
        spent: Use of the attempts that ended in the period, by evidence.
        reserved: Further use that the quotes of open runs expect.
    """

    spent: list[SpentPart] = field(default_factory=list)
    reserved: Decimal = Decimal(0)


_SCOPE_COLUMNS = {"project": "project_id", "experiment": "experiment_id", "user": "user_id"}

# Whether a row of spend or reserves falls under a budget.
_SCOPED = """(a.scope = 'lab' OR a.scope_id = CASE a.scope WHEN 'project' THEN s.project_id
    WHEN 'experiment' THEN s.experiment_id WHEN 'user' THEN s.user_id END)"""

# A figure in the budget's unit; of 0.1 kWh the decimal 0.1, not its nearest double.
_AMOUNT = """CASE a.metric
    WHEN 'facility_energy_kwh' THEN CAST(CAST(s.facility_energy_kwh AS text) AS numeric)
    WHEN 'co2e_kg' THEN CAST(CAST(s.co2e_kg AS text) AS numeric)
    WHEN 'cost' THEN CASE WHEN s.currency = a.currency THEN s.cost END END"""

# Each is looked up by the index for every piece, whatever the planner expects: an offset
# keeps a subquery from being joined in another way, and `day + 0` is not looked up by the day,
# which would read those of every other scope.
_BALANCE = """
    SELECT a.n, b.attempts,
        CASE a.metric WHEN 'facility_energy_kwh' THEN b.energy_source
            WHEN 'co2e_kg' THEN b.co2e_source
            WHEN 'cost' THEN CASE WHEN b.currency = a.currency THEN b.cost_source END END
            AS source,
        CASE a.metric WHEN 'facility_energy_kwh' THEN b.facility_energy_kwh
            WHEN 'co2e_kg' THEN b.co2e_kg
            WHEN 'cost' THEN CASE WHEN b.currency = a.currency THEN b.cost END END AS amount,
        CASE a.metric WHEN 'facility_energy_kwh' THEN b.energies WHEN 'co2e_kg' THEN b.co2es
            WHEN 'cost' THEN CASE WHEN b.currency = a.currency THEN b.costs ELSE 0 END END
            AS known
    FROM asked AS a JOIN piece AS p USING (n)
    CROSS JOIN LATERAL (
        SELECT * FROM spend_balances AS b
        WHERE {folded} AND b.scope = a.scope AND b.scope_id = a.scope_id
            AND b.grain = p.grain AND b.day >= p.first_day AND b.day < p.end_day OFFSET 0
    ) AS b"""

_REPEAT = """
    SELECT a.n, r.pairs FROM asked AS a
    CROSS JOIN LATERAL (
        SELECT * FROM spend_repeats AS r
        WHERE {folded} AND r.scope = a.scope AND r.scope_id = a.scope_id AND r.metric = a.metric
            AND (r.currency IS NULL OR r.currency = a.currency)
            AND r.day + 0 >= a.first_day AND r.day + 0 < a.end_day
            AND r.earlier_day >= a.first_day
            OFFSET 0
    ) AS r"""

_RESERVED = """
    SELECT a.n, {sign} CASE a.metric WHEN 'facility_energy_kwh' THEN s.facility_energy_kwh
        WHEN 'co2e_kg' THEN s.co2e_kg
        WHEN 'cost' THEN CASE WHEN s.currency = a.currency THEN s.cost END END AS amount
    FROM asked AS a JOIN {rows}"""
_OF_SCOPE = """LATERAL (
    SELECT * FROM reserve_balances AS r
    WHERE {folded} AND r.scope = a.scope AND r.scope_id = a.scope_id OFFSET 0) AS s ON true"""

# Each edge is looked up by the index of its scope. The text doesn't depend on the number of
# edges, so that its plan is kept.
_EDGE = """
    SELECT e.n, s.* FROM asked_edge AS e CROSS JOIN LATERAL (
        SELECT s.run_id, s.attempt_id, s.facility_energy_kwh, s.co2e_kg, s.cost, s.currency,
            s.sources
        FROM spend AS s
        WHERE s.at >= e.start AND s.at < e.stop{scoped}
            AND s.attempt_id <> ALL (CAST(:attempts AS uuid[]))
        OFFSET 0
    ) AS s WHERE e.scope = '{scope}'"""
_EDGES = " UNION ALL ".join(
    [_EDGE.format(scope="lab", scoped="")]
    + [
        _EDGE.format(scope=scope, scoped=f" AND s.{column} = e.scope_id")
        for scope, column in _SCOPE_COLUMNS.items()
    ]
)

_AMOUNTS = f"""
WITH asked AS MATERIALIZED (
    SELECT n, scope, scope_id, metric, currency, first_day, end_day,
        coalesce(start, '-infinity') AS start, coalesce(stop, 'infinity') AS stop,
        CAST(first_day AS timestamp) AT TIME ZONE 'UTC' AS first_at,
        CAST(end_day AS timestamp) AT TIME ZONE 'UTC' AS end_at
    FROM unnest(CAST(:n AS int[]), CAST(:scope AS text[]), CAST(:scope_id AS uuid[]),
        CAST(:metric AS text[]), CAST(:currency AS text[]), CAST(:start AS timestamptz[]),
        CAST(:stop AS timestamptz[]), CAST(:first_day AS date[]), CAST(:end_day AS date[])
    ) AS a (n, scope, scope_id, metric, currency, start, stop, first_day, end_day)
), piece AS MATERIALIZED (
    SELECT * FROM unnest(CAST(:piece_n AS int[]), CAST(:grain AS text[]),
        CAST(:piece_first AS date[]), CAST(:piece_end AS date[])
    ) AS p (n, grain, first_day, end_day)
), asked_edge AS MATERIALIZED (
    SELECT e.n, a.scope, a.scope_id, e.start, e.stop
    FROM unnest(CAST(:edge_n AS int[]), CAST(:edge_start AS timestamptz[]),
        CAST(:edge_stop AS timestamptz[])
    ) AS e (n, start, stop) JOIN asked AS a USING (n)
), ended AS MATERIALIZED (
    SELECT * FROM spend WHERE attempt_id = ANY (CAST(:attempts AS uuid[]))
), edge AS MATERIALIZED (
    SELECT s.n, s.run_id, s.sources ->> a.metric AS source, {_AMOUNT} AS amount
    FROM ({_EDGES}) AS s JOIN asked AS a USING (n)
), elsewhere AS MATERIALIZED (
    SELECT a.n, s.run_id, s.sources ->> a.metric AS source, {_AMOUNT} AS amount,
        s.at >= a.first_at AND s.at < a.end_at AS in_days
    FROM asked AS a JOIN ended AS s ON {_SCOPED}
), balance AS ({_BALANCE.format(folded="b.folded")}
    UNION ALL {_BALANCE.format(folded="NOT b.folded")}
), line AS (
    SELECT n, source, amount, known, attempts - known AS unknown FROM balance
    UNION ALL SELECT n, source, amount, 1, 0 FROM edge WHERE amount IS NOT NULL
    UNION ALL SELECT n, source, -amount, -1, 0 FROM elsewhere WHERE in_days AND amount IS NOT NULL
), unsure AS (
    SELECT n, run_id FROM edge WHERE amount IS NULL
    UNION SELECT n, run_id FROM elsewhere WHERE amount IS NULL
), judged AS (
    SELECT a.n, s.run_id, bool_or(s.at >= a.first_at AND s.at < a.end_at) AS in_days,
        bool_or(s.at >= a.start AND s.at < a.stop
            AND s.attempt_id <> ALL (CAST(:attempts AS uuid[]))) AS in_period
    FROM unsure AS u JOIN asked AS a USING (n) JOIN spend AS s ON s.run_id = u.run_id AND {_SCOPED}
    WHERE {_AMOUNT} IS NULL
    GROUP BY 1, 2
), unknown AS (
    SELECT n, unknown AS runs FROM line
    UNION ALL SELECT n, -pairs FROM ({_REPEAT.format(folded="r.folded")}
        UNION ALL {_REPEAT.format(folded="NOT r.folded")}) AS repeated
    UNION ALL SELECT n, CAST(in_period AS int) - CAST(in_days AS int) FROM judged
), reserved AS (
    {_RESERVED.format(sign="", rows=_OF_SCOPE.format(folded="r.folded"))}
    UNION ALL
    {_RESERVED.format(sign="", rows=_OF_SCOPE.format(folded="NOT r.folded"))}
    UNION ALL
    {_RESERVED.format(sign="-", rows=f"reserves AS s ON {_SCOPED}")}
    WHERE s.run_id = ANY (CAST(:runs AS uuid[]))
)
SELECT 'spent' AS kind, n, source, sum(amount) AS amount, NULL AS runs
FROM line GROUP BY n, source HAVING sum(known) > 0
UNION ALL
SELECT 'unknown', n, NULL, NULL, sum(runs) FROM unknown GROUP BY n HAVING sum(runs) > 0
UNION ALL
SELECT 'reserved', n, NULL, coalesce(sum(amount), 0), NULL
FROM reserved WHERE CAST(:promised AS boolean) GROUP BY n
"""
_STATEMENT = text(_AMOUNTS)


async def amounts(
    session: AsyncSession,
    asked: Sequence[tuple[Budget, Span]],
    *,
    attempts: Collection[uuid.UUID] = (),
    runs: Collection[uuid.UUID] = (),
    promised: bool = True,
) -> list[Amounts]:
    """Spent and reserved amounts of budgets.

    Args:
        session: Database session.
        asked: Budgets, each with its period.
        attempts: Attempts that do not count as spent.
        runs: Runs whose quotes do not count as reserved.
        promised: Whether to read reserved amounts.

    Returns:
        Amounts of each budget, in the given order; equal to
        :func:`app.repositories.budgets.spend.spent` and
        :func:`app.repositories.budgets.spend.reserved`, which add up every row.
    """
    if not asked:
        return []
    pieces = [pieces_of(span) for _, span in asked]
    values = _budget_values(asked, pieces) | _piece_values(pieces) | _edge_values(pieces)
    values |= {"attempts": list(attempts), "runs": list(runs), "promised": promised}
    rows = (await session.execute(_STATEMENT, values)).all()
    return _collected(rows, len(asked))


def _budget_values(
    asked: Sequence[tuple[Budget, Span]], pieces: Sequence[Pieces]
) -> dict[str, Any]:
    day_ranges = [each.whole or NO_DAYS for each in pieces]
    return {
        "n": list(range(len(asked))),
        "scope": [budget.scope for budget, _ in asked],
        "scope_id": [budget.scope_id or LAB for budget, _ in asked],
        "metric": [budget.metric for budget, _ in asked],
        "currency": [budget.currency for budget, _ in asked],
        "start": [span.start for _, span in asked],
        "stop": [span.end for _, span in asked],
        "first_day": [_first(days) for days in day_ranges],
        "end_day": [_end(days) for days in day_ranges],
    }


def _piece_values(pieces: Sequence[Pieces]) -> dict[str, Any]:
    rows: list[tuple[int, str, Days]] = []
    for n, each in enumerate(pieces):
        if each.months is not None:
            rows.append((n, "month", each.months))
        rows += [(n, "day", days) for days in each.days]
    return {
        "piece_n": [n for n, _, _ in rows],
        "grain": [grain for _, grain, _ in rows],
        "piece_first": [_first(days) for _, _, days in rows],
        "piece_end": [_end(days) for _, _, days in rows],
    }


def _first(days: Days) -> str:
    return "-infinity" if days.first is None else days.first.isoformat()


def _end(days: Days) -> str:
    return "infinity" if days.end is None else days.end.isoformat()


def _edge_values(pieces: Sequence[Pieces]) -> dict[str, Any]:
    rows = [(n, edge) for n, each in enumerate(pieces) for edge in each.edges]
    return {
        "edge_n": [n for n, _ in rows],
        "edge_start": [edge.start for _, edge in rows],
        "edge_stop": [edge.end for _, edge in rows],
    }


def _collected(rows: Sequence[Any], count: int) -> list[Amounts]:
    collected = [Amounts() for _ in range(count)]
    by_source: dict[int, dict[str | None, Decimal]] = defaultdict(dict)
    unknown: dict[int, int] = {}
    for row in rows:
        if row.kind == "spent":
            by_source[row.n][row.source] = row.amount
        elif row.kind == "unknown":
            unknown[row.n] = int(row.runs)
        else:
            collected[row.n].reserved = row.amount
    for n, amounts in enumerate(collected):
        sources = sorted(source for source in by_source[n] if source is not None)
        amounts.spent = [SpentPart(source, by_source[n][source], 0) for source in sources]
        if None in by_source[n] or n in unknown:
            amounts.spent.append(SpentPart(None, by_source[n].get(None), unknown.get(n, 0)))
    return collected
