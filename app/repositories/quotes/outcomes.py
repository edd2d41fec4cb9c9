"""SQL of outcomes: similar runs, by one index per fingerprint, newest first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Integer,
    Row,
    Select,
    String,
    bindparam,
    or_,
    select,
    union,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from models import Outcome, Project, Run

Alike = Literal["recipe_sha256", "shape_sha256", "family_sha256"]
Same = Literal["data_sha256", "model_sha256"]


def _is_evidence(project: str | None) -> ColumnElement[bool]:
    """Whether a run may be the basis of a quote: one of an open project, or of ``project``.

    A scalar subquery: it is looked up for each row of the index, whose order stays.
    """
    is_seen = or_(Project.visibility == "open", Project.name == project)
    query = select(is_seen).where(Run.id == Outcome.run_id, Project.id == Run.project_id)
    return query.scalar_subquery()


async def put(session: AsyncSession, values: dict[str, Any]) -> None:
    """Writes a run's outcome; replaces that of an earlier version of its price tag."""
    statement = insert(Outcome).values(values)
    changed = {name: statement.excluded[name] for name in values if name != "run_id"}
    await session.execute(
        statement.on_conflict_do_update(index_elements=[Outcome.run_id], set_=changed)
    )


async def like(
    session: AsyncSession,
    alike: Alike,
    values: Collection[str],
    *,
    project: str | None,
    pool: str,
    gpus: int,
    limit: int,
) -> Sequence[Outcome]:
    """The latest outcomes of similar runs in one pool, of open projects and of ``project``.

    Those with each value are read by the index, newest first, and the latest of all returned.
    """
    parameters = {f"value_{number}": value for number, value in enumerate(values)}
    query = _like(alike, len(parameters))
    wanted = {**parameters, "project": project, "pool": pool, "gpus": gpus, "most": limit}
    return (await session.execute(query, wanted)).scalars().all()


@cache
def _like(alike: Alike, count: int) -> Select[Outcome]:
    """The query for some values, made once: every post of a run asks for several levels."""
    is_seen = or_(Project.visibility == "open", Project.name == bindparam("project", type_=String))
    evidence = select(is_seen).where(Run.id == Outcome.run_id, Project.id == Run.project_id)
    latest = [
        select(Outcome.run_id)
        .where(getattr(Outcome, alike) == bindparam(f"value_{number}"))
        .where(Outcome.pool == bindparam("pool"), Outcome.gpus == bindparam("gpus"))
        .where(evidence.scalar_subquery())
        .order_by(Outcome.ended_at.desc())
        .limit(bindparam("most", type_=Integer))
        .subquery()
        for number in range(count)
    ]
    ids = union(*(select(each.c.run_id) for each in latest))
    query = select(Outcome).where(Outcome.run_id.in_(ids)).order_by(Outcome.ended_at.desc())
    return query.limit(bindparam("most", type_=Integer))


async def like_anywhere(
    session: AsyncSession, alike: Alike, value: str, *, project: str | None, limit: int
) -> Sequence[Outcome]:
    """Outcomes of similar runs in any pool, in index order, which needs no sort."""
    query = (
        select(Outcome)
        .where(getattr(Outcome, alike) == value, _is_evidence(project))
        .order_by(Outcome.pool, Outcome.gpus, Outcome.ended_at)
        .limit(limit)
    )
    return (await session.execute(query)).scalars().all()


async def with_same(
    session: AsyncSession, same: Same, value: str, *, project: str | None, limit: int
) -> Sequence[Outcome]:
    """The latest outcomes on the same data or model."""
    query = select(Outcome).where(getattr(Outcome, same) == value, _is_evidence(project))
    newest = query.order_by(Outcome.ended_at.desc()).limit(limit)
    return (await session.execute(newest)).scalars().all()


async def counted_in_pool(
    session: AsyncSession, pool: str, gpus: int, *, project: str | None, limit: int
) -> Sequence[Row[float, float | None, float | None, float | None]]:
    """``(flops, duration_s, it_energy_kwh, coverage_ratio)`` of the latest with known FLOPs."""
    query = (
        select(Outcome.flops, Outcome.duration_s, Outcome.it_energy_kwh, Outcome.coverage_ratio)
        .where(Outcome.pool == pool, Outcome.gpus == gpus, Outcome.flops > 0)
        .where(_is_evidence(project))
        .order_by(Outcome.ended_at.desc())
        .limit(limit)
    )
    return (await session.execute(query)).all()  # type: ignore[return-value]


async def site_of_pool(session: AsyncSession, pool: str, gpus: int) -> str | None:
    """Site of a pool's latest run with this number of accelerators; None if there is none."""
    query = (
        select(Outcome.site)
        .where(Outcome.pool == pool, Outcome.gpus == gpus)
        .order_by(Outcome.ended_at.desc())
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()
