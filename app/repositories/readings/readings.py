"""SQL of readings: added as rows, read from the packed blocks and the rows behind them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from models import Reading, ReadingBlock
from models.packed import codec
from models.packed.codec import DamagedReadingsError
from models.packed.columns import Columns, joined
from models.packed.rows import FLAGS_SQL, ROWS_SQL, columns_of

Row = dict[str, Any]

_ADD = """
INSERT INTO readings (attempt_id, component, seq, t_s, counter_j, integrated_j, power_w,
    own_busy_s, all_busy_s, flags)
SELECT :attempt_id, component, seq, t_s, counter_j, integrated_j, power_w, own_busy_s, all_busy_s,
    CAST(flags AS jsonb)
FROM unnest(CAST(:component AS text[]), CAST(:seq AS int[]), CAST(:t_s AS float8[]),
    CAST(:counter_j AS float8[]), CAST(:integrated_j AS float8[]), CAST(:power_w AS float8[]),
    CAST(:own_busy_s AS float8[]), CAST(:all_busy_s AS float8[]), CAST(:flags AS text[]))
AS reading (component, seq, t_s, counter_j, integrated_j, power_w, own_busy_s, all_busy_s, flags)
"""
_ADDED_COLUMNS = (
    *("component", "seq", "t_s", "counter_j", "integrated_j", "power_w"),
    *("own_busy_s", "all_busy_s"),
)

# One statement, and thus one snapshot: readings may move from rows to blocks at any time.
_READ = text(
    rf"""
    SELECT first_seq, last_seq, content, sha256, NULL::jsonb AS flags
    FROM reading_blocks
    WHERE attempt_id = :attempt_id AND component = :component
    UNION ALL
    SELECT NULL, NULL, {ROWS_SQL}, NULL, {FLAGS_SQL}
    FROM readings
    WHERE attempt_id = :attempt_id AND component = :component
    ORDER BY first_seq NULLS LAST
    """.replace("::", r"\:\:")
)

LOOKED_BACK = 1000
"""Readings of a component among which the last ones with figures are found."""


def _moved_last(column: str) -> str:
    """Since when the last figure of a column has stood, among the last readings of a component."""
    return f"""(
        SELECT {column}, min(t_s) AS t_s
        FROM (
            SELECT seq, t_s, {column} FROM readings
            WHERE attempt_id = :attempt_id AND component = named.component
            ORDER BY seq DESC LIMIT {LOOKED_BACK}
        ) AS recent
        WHERE {column} IS NOT NULL GROUP BY {column} ORDER BY max(seq) DESC LIMIT 1
    )"""


_MOVED = text(
    f"""
    SELECT named.component, counted.t_s AS counted_s, counted.counter_j,
        summed.t_s AS summed_s, summed.integrated_j
    FROM unnest(CAST(:components AS text[])) AS named (component)
    LEFT JOIN LATERAL {_moved_last("counter_j")} AS counted ON true
    LEFT JOIN LATERAL {_moved_last("integrated_j")} AS summed ON true
    """
)


async def add_readings(session: AsyncSession, attempt_id: UUID, rows: Sequence[Row]) -> None:
    """Adds readings of an attempt, however many, in one statement."""
    if not rows:
        return
    values: Row = {name: [row.get(name) for row in rows] for name in _ADDED_COLUMNS}
    values["flags"] = [json.dumps(row["flags"]) for row in rows]
    await session.execute(text(_ADD), {"attempt_id": attempt_id, **values})


async def last_moves(
    session: AsyncSession, attempt_id: UUID, components: Sequence[str]
) -> dict[tuple[str, str], tuple[float, float]]:
    """Where the counter and the integral of each component last moved: time, and value.

    Only readings that are not packed yet are looked at: those of an open attempt.
    """
    parameters = {"attempt_id": attempt_id, "components": list(components)}
    moves: dict[tuple[str, str], tuple[float, float]] = {}
    for row in await session.execute(_MOVED, parameters):
        if row.counter_j is not None:
            moves[row.component, "counter_j"] = (row.counted_s, row.counter_j)
        if row.integrated_j is not None:
            moves[row.component, "integrated_j"] = (row.summed_s, row.integrated_j)
    return moves


@dataclass(frozen=True)
class StoredReadings:
    """All readings of one component of an attempt, as stored.

    Attributes:
        component: The component.
        blocks: Packed blocks, in order.
        rows: Those that are rows.
    """

    component: str
    blocks: Sequence[Any]
    rows: Any

    def columns(self) -> Columns:
        """The readings, in order of their journal; takes milliseconds for each hour of them.

        Raises:
            DamagedReadingsError: If packed readings are not those that were packed.
        """
        parts = [opened(self.component, block.content, block) for block in self.blocks]
        return joined([*parts, columns_of(self.rows.content, self.rows.flags)])


async def stored(session: AsyncSession, attempt_id: UUID, component: str) -> StoredReadings:
    """All readings of one component of an attempt."""
    parameters = {"attempt_id": attempt_id, "component": component}
    *blocks, rows = (await session.execute(_READ, parameters)).all()
    return StoredReadings(component, blocks, rows)


async def columns(session: AsyncSession, attempt_id: UUID, component: str) -> Columns:
    """All readings of one component of an attempt, in order of their journal.

    Raises:
        DamagedReadingsError: If packed readings are not those that were packed.
    """
    return await asyncio.to_thread((await stored(session, attempt_id, component)).columns)


def opened(component: str, content: bytes, block: Any) -> Columns:
    """The readings in the content of a block with `sha256`, `first_seq` and `last_seq`.

    Raises:
        DamagedReadingsError: If they are not those that were packed.
    """
    try:
        return codec.decode(content, block.sha256)
    except DamagedReadingsError as error:
        raise DamagedReadingsError(
            f"readings {block.first_seq} to {block.last_seq} of {component} are damaged: {error}"
        ) from error


async def last_reading_s(session: AsyncSession, attempt_id: UUID) -> float | None:
    """Time of the attempt's last reading, in s on its meter's clock."""
    of_rows = select(func.max(Reading.t_s)).where(Reading.attempt_id == attempt_id)
    of_blocks = select(func.max(ReadingBlock.last_t_s)).where(ReadingBlock.attempt_id == attempt_id)
    query = select(func.greatest(of_rows.scalar_subquery(), of_blocks.scalar_subquery()))
    last_s: float | None = (await session.execute(query)).scalar_one()
    return last_s
