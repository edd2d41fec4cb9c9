"""SQL of metrics, log lines and artifacts: read attempt by attempt along the primary key."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from models import Artifact, Attempt, LogLine, Metric

Line = TypeVar("Line", LogLine, Metric)

Position = tuple[int, int]
"""Attempt number and journal sequence number."""


async def lines(
    session: AsyncSession,
    table: type[Line],
    attempts: Sequence[Attempt],
    *,
    after: Position | None,
    limit: int,
    **equal: str,
) -> list[tuple[int, Line]]:
    """Lines of a run after a position, each with the number of its attempt.

    Args:
        session: Database session.
        table: `LogLine` or `Metric`.
        attempts: The attempts of the run, by number.
        after: End of the previous page.
        limit: Maximum number of lines.
        **equal: Required values of columns.
    """
    wanted = [getattr(table, column) == value for column, value in equal.items()]
    return await _lines_where(session, table, attempts, after, limit, wanted)


async def _lines_where(
    session: AsyncSession,
    table: type[Line],
    attempts: Sequence[Attempt],
    after: Position | None,
    limit: int,
    wanted: Sequence[ColumnElement[bool]],
) -> list[tuple[int, Line]]:
    number, seq = after or (0, -1)
    numbered: list[tuple[int, Line]] = []
    for attempt in attempts:
        if attempt.number < number or len(numbered) >= limit:
            continue
        start = seq if attempt.number == number else -1
        query = (
            select(table)
            .where(table.attempt_id == attempt.id, table.seq > start, *wanted)
            .order_by(table.seq)
            .limit(limit - len(numbered))
        )
        rows = (await session.execute(query)).scalars().all()
        numbered.extend((attempt.number, row) for row in rows)
    return numbered


async def log_lines(
    session: AsyncSession,
    attempts: Sequence[Attempt],
    *,
    after: Position | None,
    limit: int,
    contains: str | None,
) -> list[tuple[int, LogLine]]:
    """The first log lines after a position that contain a text, ignoring case."""
    return await _lines_where(session, LogLine, attempts, after, limit, _containing(contains))


async def last_log_lines(
    session: AsyncSession, attempts: Sequence[Attempt], *, limit: int, contains: str | None
) -> list[tuple[int, LogLine]]:
    """The last log lines that contain a text, ignoring case, oldest first."""
    newest: list[tuple[int, LogLine]] = []
    for attempt in reversed(attempts):
        if len(newest) >= limit:
            break
        query = (
            select(LogLine)
            .where(LogLine.attempt_id == attempt.id, *_containing(contains))
            .order_by(LogLine.seq.desc())
            .limit(limit - len(newest))
        )
        rows = (await session.execute(query)).scalars().all()
        newest.extend((attempt.number, row) for row in rows)
    return newest[::-1]


def _containing(text: str | None) -> list[ColumnElement[bool]]:
    return [] if text is None else [LogLine.text.icontains(text, autoescape=True)]


async def values_of_metrics(session: AsyncSession, run_id: uuid.UUID, column: str) -> list[str]:
    """The distinct values of a text column of a run's metrics, in alphabetical order."""
    values = getattr(Metric, column)
    query = select(values).distinct().join(Attempt, Attempt.id == Metric.attempt_id)
    query = query.where(Attempt.run_id == run_id, values.is_not(None)).order_by(values)
    return list((await session.execute(query)).scalars().all())


async def artifacts(
    session: AsyncSession, run_id: uuid.UUID, artifact_id: uuid.UUID | None = None
) -> list[tuple[Attempt, Artifact]]:
    """Artifacts of a run, or the one with ``artifact_id``, each with its attempt."""
    query = (
        select(Attempt, Artifact)
        .join(Artifact, Artifact.attempt_id == Attempt.id)
        .where(Attempt.run_id == run_id)
        .order_by(Attempt.number, Artifact.created_at, Artifact.path)
    )
    if artifact_id is not None:
        query = query.where(Artifact.id == artifact_id)
    return [(row[0], row[1]) for row in (await session.execute(query)).all()]
