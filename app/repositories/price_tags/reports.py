"""SQL of reports, and of the price tags they show."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import DateTime, Select, Uuid, any_, cast, insert, literal, or_, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.people.visibility import Viewer, sees_project_id, sees_report
from app.repositories.price_tags.price_tags import STORED, decoded
from models import PriceTag, Project, Report, ReportProject, Run


async def add(
    session: AsyncSession,
    report: Report,
    run_ids: Sequence[uuid.UUID],
    project_id: uuid.UUID | None = None,
) -> None:
    """Stores a report, and the projects of its runs, with one more project if it is of one."""
    session.add(report)
    await session.flush()
    projects = select(literal(report.id, Report.id.type), Project.id).where(
        or_(
            Project.id.in_(select(Run.project_id).where(Run.id.in_(run_ids))),
            Project.id == project_id,
        )
    )
    columns = [ReportProject.report_id, ReportProject.project_id]
    await session.execute(insert(ReportProject).from_select(columns, projects))


async def is_visible(session: AsyncSession, viewer: Viewer, report_id: uuid.UUID) -> bool:
    query = select(Report.id).where(Report.id == report_id, sees_report(viewer, Report.id))
    return (await session.execute(query)).first() is not None


async def get(session: AsyncSession, report_id: uuid.UUID) -> Report | None:
    return await session.get(Report, report_id)


async def list_reports(
    session: AsyncSession, viewer: Viewer, after: tuple[str, uuid.UUID] | None, limit: int
) -> Sequence[Any]:
    """A page of reports, newest first, without their content."""
    query = (
        select(Report.id, Report.title, Report.profile, Report.created_at, Report.content_sha256)
        .where(sees_report(viewer, Report.id))
        .order_by(Report.created_at.desc(), Report.id.desc())
        .limit(limit)
    )
    if after is not None:
        created_at = cast(literal(after[0]), DateTime(timezone=True))
        query = query.where(
            tuple_(Report.created_at, Report.id)
            < tuple_(created_at, literal(after[1], Report.id.type))
        )
    return (await session.execute(query)).all()


async def newest_price_tags(
    session: AsyncSession, viewer: Viewer, run_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, dict[str, Any]]:
    """The latest price tag of each visible run that has one, with its cause, by run."""
    query = (
        select(PriceTag.run_id, STORED, PriceTag.cause, PriceTag.version)
        .join(Run, Run.id == PriceTag.run_id)
        .where(PriceTag.run_id.in_(run_ids), sees_project_id(viewer, Run.project_id))
        .ext(distinct_on(PriceTag.run_id))
        .order_by(PriceTag.run_id, PriceTag.version.desc())
    )
    return {
        row.run_id: {**content, "newest_version": row.version}
        for row, content in await _contents(session, query)
    }


async def price_tags_of(
    session: AsyncSession, versions: Mapping[uuid.UUID, int]
) -> dict[uuid.UUID, dict[str, Any]]:
    """These versions of price tags, with their causes, by run; without those that are not there."""
    query = select(PriceTag.run_id, STORED, PriceTag.cause, PriceTag.version).where(
        tuple_(PriceTag.run_id, PriceTag.version).in_(list(versions.items()))
    )
    return {row.run_id: content for row, content in await _contents(session, query)}


async def _contents(
    session: AsyncSession, query: Select[uuid.UUID, bytes, str, int]
) -> list[tuple[Any, dict[str, Any]]]:
    """Rows of price tags, each with its content and its cause."""
    rows = (await session.execute(query)).all()
    contents = await decoded([row.stored for row in rows])
    return [
        (row, {**content, "cause": row.cause}) for row, content in zip(rows, contents, strict=True)
    ]


async def recipes_of(
    session: AsyncSession, run_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, dict[str, Any]]:
    """The recipes of runs, by run."""
    query = select(Run.id, Run.recipe).where(Run.id == any_(literal(list(run_ids), ARRAY(Uuid))))
    return {run_id: recipe for run_id, recipe in (await session.execute(query)).all()}


async def projects_of(session: AsyncSession, run_ids: Sequence[uuid.UUID]) -> Sequence[str]:
    """Names of the projects of runs, each once."""
    query = select(Project.name).join(Run, Run.project_id == Project.id)
    query = query.where(Run.id.in_(run_ids)).distinct().order_by(Project.name)
    return (await session.execute(query)).scalars().all()
