"""SQL of an attempt's records: written in bulk, and read for the settlement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import case, delete, insert, select
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncSession

from models import Artifact, Attempt, LogLine, Measurement, Metric, Stage
from models.base import Base

Row = dict[str, Any]


async def add_rows(session: AsyncSession, table: type[Base], rows: list[Row]) -> None:
    if rows:
        await session.execute(insert(table), rows)


async def put_artifacts(session: AsyncSession, rows: list[Row]) -> None:
    """Adds artifacts; replaces earlier ones with the same path."""
    if not rows:
        return
    newest = {row["path"]: row for row in rows}
    statement = pg_insert(Artifact).values(list(newest.values()))
    replaced = ("stage_key", "name", "size_bytes", "sha256", "card", "created_at")
    is_same = Artifact.sha256 == statement.excluded.sha256
    places = (Artifact.stored_at, Artifact.not_stored, Artifact.removed_at)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[Artifact.attempt_id, Artifact.path],
            set_={
                **{name: statement.excluded[name] for name in replaced},
                **{place.key: case((is_same, place)) for place in places},
            },
        )
    )


async def artifact_paths(session: AsyncSession, attempt_id: UUID) -> set[str]:
    """Paths of the attempt's artifacts."""
    query = select(Artifact.path).where(Artifact.attempt_id == attempt_id)
    return set((await session.execute(query)).scalars())


async def stages(session: AsyncSession, attempt_id: UUID) -> dict[str, Stage]:
    """The attempt's stages by key, in order."""
    query = select(Stage).where(Stage.attempt_id == attempt_id).order_by(Stage.index)
    return {stage.key: stage for stage in (await session.execute(query)).scalars()}


async def replace_measurements(session: AsyncSession, attempt_id: UUID, rows: list[Row]) -> None:
    await session.execute(delete(Measurement).where(Measurement.attempt_id == attempt_id))
    await add_rows(session, Measurement, rows)


async def add_log(session: AsyncSession, row: Row) -> None:
    await session.execute(pg_insert(LogLine).values(row).on_conflict_do_nothing())


async def measurements(session: AsyncSession, attempt_id: UUID) -> Sequence[Measurement]:
    query = (
        select(Measurement)
        .where(Measurement.attempt_id == attempt_id)
        .order_by(Measurement.stage_key, Measurement.component)
    )
    return (await session.execute(query)).scalars().all()


async def measurements_of_run(session: AsyncSession, run_id: UUID) -> Sequence[Measurement]:
    query = (
        select(Measurement)
        .join(Attempt, Attempt.id == Measurement.attempt_id)
        .where(Attempt.run_id == run_id)
        .order_by(Attempt.number, Measurement.stage_key, Measurement.component)
    )
    return (await session.execute(query)).scalars().all()


async def stages_of_run(session: AsyncSession, run_id: UUID) -> Sequence[Stage]:
    query = (
        select(Stage)
        .join(Attempt, Attempt.id == Stage.attempt_id)
        .where(Attempt.run_id == run_id)
        .order_by(Attempt.number, Stage.index)
    )
    return (await session.execute(query)).scalars().all()


async def quality_of_run(session: AsyncSession, run_id: UUID) -> Sequence[Metric]:
    """The metrics for the price tag, in the order in which they were reported."""
    query = (
        select(Metric)
        .join(Attempt, Attempt.id == Metric.attempt_id)
        .where(Attempt.run_id == run_id, Metric.quality.is_(True))
        .order_by(Attempt.number, Metric.seq)
    )
    return (await session.execute(query)).scalars().all()
