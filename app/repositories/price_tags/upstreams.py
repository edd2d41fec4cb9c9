"""SQL of chains of runs: published models, and the runs that start from them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.price_tags.price_tags import STORED, decoded, total_quantities
from models import Artifact, Attempt, PriceTag, Project, Run, RunUpstream, Stage


async def add(session: AsyncSession, upstream: RunUpstream) -> None:
    session.add(upstream)
    await session.flush()


async def of_run(session: AsyncSession, run_id: uuid.UUID) -> Sequence[RunUpstream]:
    """The models of earlier runs that a run starts from."""
    query = select(RunUpstream).where(RunUpstream.run_id == run_id)
    return (await session.execute(query.order_by(RunUpstream.stage))).scalars().all()


async def weights(session: AsyncSession, run_ids: Sequence[uuid.UUID]) -> Sequence[Any]:
    """Runs, and the hashes of the weights of earlier runs that they start from."""
    query = select(RunUpstream.run_id, RunUpstream.sha256).where(RunUpstream.run_id.in_(run_ids))
    return (await session.execute(query)).all()


async def links(
    session: AsyncSession, run_ids: Sequence[uuid.UUID]
) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """Pairs of a run and an upstream run, for the given runs."""
    query = select(RunUpstream.run_id, RunUpstream.upstream_run_id).where(
        RunUpstream.run_id.in_(run_ids)
    )
    return [(run, upstream) for run, upstream in (await session.execute(query)).all()]


async def shared_by(session: AsyncSession, run_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    """Number of runs that use a model of each of these runs, by run."""
    query = (
        select(RunUpstream.upstream_run_id, func.count(RunUpstream.run_id.distinct()))
        .where(RunUpstream.upstream_run_id.in_(run_ids))
        .group_by(RunUpstream.upstream_run_id)
    )
    return {run: count for run, count in (await session.execute(query)).all()}


async def named(session: AsyncSession, run_ids: Sequence[uuid.UUID]) -> Sequence[Any]:
    """Id, name, status and project of runs."""
    query = (
        select(Run.id, Run.name, Run.status, Project.name.label("project"))
        .join(Project, Project.id == Run.project_id)
        .where(Run.id.in_(run_ids))
    )
    return (await session.execute(query)).all()


async def newest_totals(
    session: AsyncSession, run_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, dict[str, Any]]:
    """Version and totals of each run's latest price tag, by run; without runs that have none."""
    query = (
        select(PriceTag.run_id, PriceTag.version, STORED)
        .where(PriceTag.run_id.in_(run_ids))
        .ext(distinct_on(PriceTag.run_id))
        .order_by(PriceTag.run_id, PriceTag.version.desc())
    )
    rows = (await session.execute(query)).all()
    contents = await decoded([row.stored for row in rows])
    return {
        row.run_id: {"version": row.version, **total_quantities(content)}
        for row, content in zip(rows, contents, strict=True)
    }


async def published(session: AsyncSession, run_id: uuid.UUID) -> Sequence[Any]:
    """The files of a run's models, with attempt, stage, path, hash and whether it was removed."""
    query = (
        select(
            Attempt.number,
            Stage.name.label("stage"),
            Stage.kind,
            Artifact.path,
            Artifact.sha256,
            Artifact.card.isnot(None).label("is_weights"),
            Artifact.removed_at.isnot(None).label("is_removed"),
        )
        .join(Artifact, Artifact.attempt_id == Attempt.id)
        .join(Stage, (Stage.attempt_id == Attempt.id) & (Stage.key == Artifact.stage_key))
        .where(Attempt.run_id == run_id)
        .order_by(Attempt.number, Artifact.path)
    )
    return (await session.execute(query)).all()
