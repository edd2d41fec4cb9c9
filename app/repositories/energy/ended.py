"""SQL of the use of ended attempts in a range: sums of whole days and months, rows at its edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from pricetag.accounting.budgets.periods import Span
from pricetag.accounting.budgets.pieces import Days, pieces_of

COLUMNS = (
    *("project_id", "user_id", "status", "currency", "it_source", "energy_source"),
    *(
        "co2e_source",
        "cost_source",
        "attempts",
        "it_energies",
        "energies",
        "co2es",
        "costs",
        "it_energy_kwh",
    ),
    *("facility_energy_kwh", "co2e_kg", "cost"),
)

KEY = ", ".join(COLUMNS[: COLUMNS.index("attempts")])
SUMS = ", ".join(f"sum({name}) AS {name}" for name in COLUMNS[COLUMNS.index("attempts") :])

_ROWS = """
    SELECT s.project_id, s.user_id, a.status, s.currency,
      CASE WHEN s.it_energy_kwh IS NOT NULL THEN s.sources ->> 'it_energy_kwh' END,
      CASE WHEN s.facility_energy_kwh IS NOT NULL THEN s.sources ->> 'facility_energy_kwh' END,
      CASE WHEN s.co2e_kg IS NOT NULL THEN s.sources ->> 'co2e_kg' END,
      CASE WHEN s.cost IS NOT NULL THEN s.sources ->> 'cost' END,
      1, CAST(s.it_energy_kwh IS NOT NULL AS int), CAST(s.facility_energy_kwh IS NOT NULL AS int),
      CAST(s.co2e_kg IS NOT NULL AS int), CAST(s.cost IS NOT NULL AS int),
      CAST(CAST(coalesce(s.it_energy_kwh, 0) AS text) AS numeric),
      CAST(CAST(coalesce(s.facility_energy_kwh, 0) AS text) AS numeric),
      CAST(CAST(coalesce(s.co2e_kg, 0) AS text) AS numeric), coalesce(s.cost, 0)
    FROM ({spend}) AS s
    CROSS JOIN LATERAL (SELECT status FROM attempts WHERE id = s.attempt_id OFFSET 0) AS a
"""
_AT = "at >= :{start} AND at < :{stop}"


@dataclass(frozen=True, slots=True)
class Ended:
    """A subquery of ended attempts, or of sums of them, by project, user and status.

    Attributes:
        sql: The subquery: all columns are sums, apart from the owners, the status, the currency
            and the weakest evidence of the known figures.
        values: Its parameters.
    """

    sql: str
    values: Mapping[str, Any]


def ended(start: datetime | None, stop: datetime | None, owner: str | None = None) -> Ended:
    """The use of the attempts that ended in a range.

    A year is some months of sums, some days, and the attempts of two days at most.

    Args:
        start: Beginning of the range; None for all times before its end.
        stop: Its end, exclusive; None for all times after its beginning.
        owner: Column of the owner, ``project_id`` or ``user_id``, who is ``:owner``; None for
            everybody's.
    """
    pieces = pieces_of(Span(start, stop))
    whose = "" if owner is None else f" AND {owner} = :owner"
    parts: list[str] = []
    values: dict[str, Any] = {}
    grains = [("month", pieces.months)] if pieces.months is not None else []
    for number, (grain, days) in enumerate([*grains, *(("day", each) for each in pieces.days)]):
        values |= _days(number, days)
        for folded in ("folded", "NOT folded"):
            parts.append(
                f"SELECT {', '.join(COLUMNS)} FROM work_balances WHERE {folded}"
                f" AND grain = '{grain}' AND day >= :first_{number} AND day < :end_{number}{whose}"
            )
    for number, edge in enumerate(pieces.edges):
        names = {"start": f"edge_start_{number}", "stop": f"edge_stop_{number}"}
        values |= {names["start"]: edge.start, names["stop"]: edge.end}
        spend = f"SELECT * FROM spend WHERE {_AT.format(**names)}{whose}"
        parts.append(_ROWS.format(spend=spend))
    return Ended(" UNION ALL ".join(parts), values)


def _days(number: int, days: Days) -> dict[str, Any]:
    return {f"first_{number}": days.first or date.min, f"end_{number}": days.end or date.max}


def ended_on(start: datetime, stop: datetime) -> Ended:
    """The same on the node ``:node``: its attempts, one by one."""
    spend = """
        SELECT spend.* FROM attempts AS of_node
        CROSS JOIN LATERAL (
          SELECT * FROM spend WHERE attempt_id = of_node.id OFFSET 0) AS spend
        WHERE of_node.node_name = :node AND of_node.ended_at >= :start
          AND of_node.ended_at < :stop
    """
    return Ended(_ROWS.format(spend=spend), {"start": start, "stop": stop})
