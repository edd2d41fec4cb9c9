"""SQL that sums up the scores of quotes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from pricetag.accounting.forecast.score import NAMES

MIDDLES = "ARRAY[0.5, 0.500001]"
"""The lower and the upper one of the middle values; the same of an odd number, up to 500,000."""


@dataclass(frozen=True)
class ErrorSums:
    """Scores of one method, similarity, pool and quantity together.

    Attributes:
        count: Number of quotes.
        inside: Number of actual figures inside the quote's interval.
        median_error: Median of the log errors.
        median_abs_error: Median of their absolute values.
    """

    method: str
    level: str | None
    pool: str
    quantity: str
    count: int
    inside: int
    median_error: float
    median_abs_error: float


@dataclass(frozen=True)
class Summary:
    """The latest scores of successful runs.

    Attributes:
        runs: Number of these runs.
        unquoted: Number of them without a quote.
        groups: Their scores; groups without a score are omitted.
    """

    runs: int
    unquoted: int
    groups: Sequence[ErrorSums]


def _columns(name: str) -> str:
    return (
        f"count({name}_log_error) AS {name}_count,"
        f" count(*) FILTER (WHERE {name}_inside) AS {name}_within,"
        f" percentile_disc({MIDDLES}) WITHIN GROUP (ORDER BY {name}_log_error) AS {name}_errors,"
        f" percentile_disc({MIDDLES}) WITHIN GROUP (ORDER BY abs({name}_log_error))"
        f" AS {name}_abs_errors"
    )


_SUMS = text(f"""
SELECT method, level, pool, count(*) AS runs, {", ".join(map(_columns, NAMES))}
FROM (
    SELECT * FROM quote_scores ORDER BY scored_at DESC, run_id DESC LIMIT :newest
) AS scored
WHERE status = 'succeeded'
GROUP BY method, level, pool
""")


async def summed(session: AsyncSession, newest: int) -> Summary:
    """Sums up the latest scores; failed and canceled runs are read, but do not count.

    Args:
        session: Only read.
        newest: Number of scores to read.
    """
    rows = (await session.execute(_SUMS, {"newest": newest})).all()
    groups = []
    for row in rows:
        for name in NAMES:
            count = getattr(row, f"{name}_count")
            if count:
                groups.append(
                    ErrorSums(
                        method=row.method,
                        level=row.level,
                        pool=row.pool,
                        quantity=name,
                        count=count,
                        inside=getattr(row, f"{name}_within"),
                        median_error=_between(*getattr(row, f"{name}_errors")),
                        median_abs_error=_between(*getattr(row, f"{name}_abs_errors")),
                    )
                )
    return Summary(
        runs=sum(row.runs for row in rows),
        unquoted=sum(row.runs for row in rows if row.method == "unknown"),
        groups=groups,
    )


def _between(low: float, high: float) -> float:
    return (low + high) / 2
