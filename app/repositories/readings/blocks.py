"""SQL of packing: replaces rows of readings by blocks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from models import Attempt, ReadingBlock
from models.packed.columns import Columns
from models.packed.rows import FLAGS_SQL, ROWS_SQL, columns_of

Key = tuple[UUID, str]
"""Attempt and component."""

# Jumps from attempt to attempt: the index has many entries of each.
_NEXT = text(
    """
    WITH RECURSIVE next AS (
      (
        SELECT attempt_id, 1 AS number FROM readings
        WHERE attempt_id > CAST(:after AS uuid)
        ORDER BY attempt_id LIMIT 1
      )
      UNION ALL
      SELECT (
        SELECT readings.attempt_id FROM readings
        WHERE readings.attempt_id > next.attempt_id
        ORDER BY readings.attempt_id LIMIT 1
      ), number + 1
      FROM next
      WHERE next.attempt_id IS NOT NULL AND number < :limit
    )
    SELECT next.attempt_id, attempts.ended_at IS NOT NULL AS is_ended
    FROM next JOIN attempts ON attempts.id = next.attempt_id
    ORDER BY next.attempt_id
    """
)

_ROWS = text(
    f"""
    SELECT attempt_id, component, count(*) AS number, {ROWS_SQL} AS rows, {FLAGS_SQL} AS flags
    FROM (
      SELECT * FROM readings
      WHERE attempt_id = ANY(:attempt_ids)
        AND (CAST(:component AS text) IS NULL OR component = CAST(:component AS text))
      ORDER BY attempt_id, component, seq
      LIMIT :limit
    ) AS bounded
    GROUP BY attempt_id, component
    ORDER BY attempt_id, component
    """.replace("::", r"\:\:")
)

_LONG = text(
    """
    SELECT component FROM readings WHERE attempt_id = :attempt_id
    GROUP BY component HAVING count(*) > :more_than ORDER BY component
    """
)

_NEWEST = text(
    """
    SELECT newest.* FROM unnest(CAST(:attempts AS uuid[]), CAST(:components AS text[]))
      AS wanted (attempt_id, component)
    CROSS JOIN LATERAL (
      SELECT attempt_id, component, first_seq, last_seq, steps, is_settled, sha256, content
      FROM reading_blocks
      WHERE attempt_id = wanted.attempt_id AND component = wanted.component
      ORDER BY first_seq DESC LIMIT 1
    ) AS newest
    """
)

_DELETE_BLOCKS = text(
    """
    DELETE FROM reading_blocks
    USING unnest(CAST(:attempts AS uuid[]), CAST(:components AS text[]), CAST(:seqs AS int[]))
      AS replaced (attempt_id, component, first_seq)
    WHERE reading_blocks.attempt_id = replaced.attempt_id
      AND reading_blocks.component = replaced.component
      AND reading_blocks.first_seq = replaced.first_seq
    """
)

_DELETE_ROWS = text(
    """
    DELETE FROM readings
    USING unnest(CAST(:attempts AS uuid[]), CAST(:components AS text[]), CAST(:seqs AS int[]))
      AS packed (attempt_id, component, last_seq)
    WHERE readings.attempt_id = packed.attempt_id
      AND readings.component = packed.component
      AND readings.seq <= packed.last_seq
    """
)

_CHECKED = text(
    """
    SELECT *, EXISTS (
        SELECT FROM readings
        WHERE readings.attempt_id = blocks.attempt_id
          AND readings.component = blocks.component AND readings.seq <= blocks.last_seq
      ) AS has_rows,
      NOT EXISTS (
        SELECT FROM reading_blocks AS earlier
        WHERE earlier.attempt_id = blocks.attempt_id
          AND earlier.component = blocks.component AND earlier.first_seq < blocks.first_seq
      ) AS is_first
    FROM reading_blocks AS blocks
    WHERE (attempt_id, component, first_seq) >= (CAST(:attempt_id AS uuid), :component, :first_seq)
    ORDER BY attempt_id, component, first_seq
    LIMIT :limit
    """
)


@dataclass(frozen=True)
class Tail:
    """Readings of one component that are rows.

    Attributes:
        is_whole: Whether these are all of them.
    """

    key: Key
    columns: Columns
    is_whole: bool


@dataclass(frozen=True)
class NewBlock:
    """A row of the table of blocks."""

    attempt_id: UUID
    component: str
    first_seq: int
    last_seq: int
    steps: int
    last_t_s: float
    is_settled: bool
    sha256: bytes
    content: bytes
    level_8: bytes | None
    level_64: bytes | None
    level_512: bytes | None
    level_4096: bytes | None


@dataclass(frozen=True)
class Packed:
    """The rows written for one component.

    Attributes:
        blocks: New blocks, in order; at least one.
        replaced_seq: `first_seq` of the block in whose place the first of them is.
        rows: Number of rows that are in the new blocks.
    """

    key: Key
    blocks: Sequence[NewBlock]
    replaced_seq: int | None
    rows: int


async def attempts_with_rows(
    session: AsyncSession, after: UUID, limit: int
) -> list[tuple[UUID, bool]]:
    """The next attempts with readings that are rows, and whether each has ended."""
    rows = (await session.execute(_NEXT, {"after": after, "limit": limit})).all()
    return [(row.attempt_id, row.is_ended) for row in rows]


async def lock_ended(session: AsyncSession, attempt_ids: Collection[UUID]) -> list[UUID]:
    """Locks attempts that have ended; skips those that are locked by others."""
    query = (
        select(Attempt.id)
        .where(Attempt.id.in_(attempt_ids), Attempt.ended_at.is_not(None))
        .order_by(Attempt.id)
        .with_for_update(skip_locked=True)
    )
    return list((await session.execute(query)).scalars())


async def tails(
    session: AsyncSession, attempt_ids: Sequence[UUID], *, limit: int, component: str | None = None
) -> list[Tail]:
    """Readings that are rows, in order of attempt and component.

    Args:
        session: Database session.
        attempt_ids: The attempts.
        limit: Of rows; beyond it components are missing, and the last one may be in part.
        component: Only this one.
    """
    parameters = {"attempt_ids": list(attempt_ids), "component": component, "limit": limit}
    rows = (await session.execute(_ROWS, parameters)).all()
    is_whole = sum(row.number for row in rows) < limit
    return [
        Tail(
            (row.attempt_id, row.component),
            columns_of(row.rows, row.flags),
            is_whole or row is not rows[-1],
        )
        for row in rows
    ]


async def long_tails(session: AsyncSession, attempt_id: UUID, more_than: int) -> list[str]:
    """Components of an attempt with more than a number of rows."""
    parameters = {"attempt_id": attempt_id, "more_than": more_than}
    return list((await session.execute(_LONG, parameters)).scalars())


async def newest_blocks(session: AsyncSession, keys: Sequence[Key]) -> dict[Key, Any]:
    """The last block of each component that has one."""
    parameters = {
        "attempts": [attempt_id for attempt_id, _ in keys],
        "components": [component for _, component in keys],
    }
    rows = (await session.execute(_NEWEST, parameters)).all()
    return {(row.attempt_id, row.component): row for row in rows}


async def write(session: AsyncSession, packed: Sequence[Packed]) -> None:
    """Replaces the rows in blocks by these blocks.

    Raises:
        RuntimeError: If the rows are not there, or more of them; nothing may be committed then.
    """
    replaced = [item for item in packed if item.replaced_seq is not None]
    if replaced:
        await session.execute(
            _DELETE_BLOCKS, _slots(replaced, (item.replaced_seq for item in replaced))
        )
    blocks = [asdict(block) for item in packed for block in item.blocks]
    await session.execute(insert(ReadingBlock), blocks)
    last_seqs = (item.blocks[-1].last_seq for item in packed)
    result = await session.execute(_DELETE_ROWS, _slots(packed, last_seqs))
    assert isinstance(result, CursorResult)
    rows = sum(item.rows for item in packed)
    if result.rowcount != rows:
        raise RuntimeError(f"{rows} readings are in new blocks, {result.rowcount} are rows of them")


def _slots(packed: Sequence[Packed], seqs: Iterable[int | None]) -> dict[str, list[Any]]:
    return {
        "attempts": [item.key[0] for item in packed],
        "components": [item.key[1] for item in packed],
        "seqs": list(seqs),
    }


async def blocks_from(
    session: AsyncSession, start: tuple[UUID, str, int], limit: int
) -> Sequence[Any]:
    """Blocks in order from a key on.

    `has_rows`: whether rows of it are left. `is_first`: whether it is its component's first one.
    """
    attempt_id, component, first_seq = start
    parameters = {"attempt_id": attempt_id, "component": component, "first_seq": first_seq}
    return (await session.execute(_CHECKED, {**parameters, "limit": limit})).all()
