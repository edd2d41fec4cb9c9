"""SQL of sums over time of a few places by name, and of all others together."""

from __future__ import annotations

from typing import Any

from app.repositories.energy.judging import JUDGED, PRODUCT
from app.repositories.energy.rollups import (
    ALL,
    PENDING,
    SERIES,
    Grain,
    Grouping,
    Range,
    bucket,
    mixed,
    of,
    rolled_of_few,
    superseded,
)

_PRODUCT = ", ".join(PRODUCT)


def named_sums(by: Grouping, place: str, over: Grain, hours: Range) -> tuple[str, dict[str, Any]]:
    """The statement for sums by place, product and bucket of the places in ``named``.

    As all sums are exact, what remains of the lab's is the sum of the other places, to the last
    digit, and their many rows need not be read. Nearly every row of a place that is named is a sum
    by itself: only in some buckets (:func:`mixed`), or where a place has several series, rows are
    added up.

    Args:
        by: What the places are.
        place: The name of a row's place.
        over: The buckets.
        hours: Which hours, of all nodes.
    """
    is_named = f"{place} = ANY (CAST(:named AS text[]))"
    rows, whose, values = rolled_of_few(by, over, hours, is_named, "few")
    several, more_values = mixed(over, hours)
    name = f"CASE WHEN {is_named} THEN {place} END"
    again = superseded("component", bucket(over, "r.start"))
    columns = f"place, start, {_PRODUCT}"
    statement = f"""
        WITH {PENDING}, {JUDGED}, superseded AS ({again}),
        {several},
        wanted AS MATERIALIZED (
          SELECT own.*,
            place IS NULL OR count(*) OVER (PARTITION BY place, {_PRODUCT}) > 1 AS is_part
          FROM (
            SELECT s.id, CASE WHEN s.scope <> 'lab' THEN {place} END AS place, {_PRODUCT}
            FROM energy_series AS s WHERE {whose}) AS own
        ),
        read AS MATERIALIZED (
          SELECT s.is_part OR r.start IN (SELECT start FROM mixed) AS is_part,
            s.place, r.start, {of("s", PRODUCT)}, r.hours, {ALL} AS used_j
          {rows} JOIN wanted AS s ON s.id = r.series_id
        ),
        parts AS (
          SELECT {columns}, hours, used_j FROM read WHERE is_part
          UNION ALL
          SELECT NULL, start, {_PRODUCT}, -hours, -used_j FROM read WHERE place IS NOT NULL
          UNION ALL
          SELECT {name}, r.start, {of("s", PRODUCT)}, -r.hours, -({ALL})
          FROM superseded AS r {SERIES}
          UNION ALL
          SELECT {name}, {bucket(over, "hour")}, {_PRODUCT}, hours, {ALL} FROM judged
        )
        SELECT {columns}, CAST(used_j AS float8) AS total_j, CAST(hours AS bigint) AS hours
        FROM read WHERE NOT is_part AND hours > 0
        UNION ALL
        SELECT {columns}, CAST(sum(used_j) AS float8), CAST(sum(hours) AS bigint)
        FROM parts GROUP BY {columns} HAVING sum(hours) > 0
        ORDER BY start, place, {_PRODUCT}
    """
    return statement, hours.values | values | more_values
