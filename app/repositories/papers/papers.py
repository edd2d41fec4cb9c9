"""SQL of papers, and of the runs in them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import DateTime, Select, cast, delete, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.people.visibility import Viewer, sees_paper
from models import Experiment, Paper, PaperRun, PriceTag, Project, Quote, Report, Run, StudyRun


def _with_project() -> Select[Paper, str]:
    return select(Paper, Project.name.label("project")).join(
        Project, Project.id == Paper.project_id
    )


async def add(session: AsyncSession, paper: Paper) -> None:
    """Stores a paper."""
    session.add(paper)
    await session.flush()


async def get(session: AsyncSession, viewer: Viewer, paper_id: uuid.UUID) -> Any:
    """A paper with the name of its project; None if the viewer does not see all its projects."""
    query = _with_project().where(Paper.id == paper_id, sees_paper(viewer))
    return (await session.execute(query)).one_or_none()


async def by_id(session: AsyncSession, paper_id: uuid.UUID) -> Any:
    """A paper with the name of its project, whoever may see it."""
    return (await session.execute(_with_project().where(Paper.id == paper_id))).one()


async def by_key(session: AsyncSession, user_id: uuid.UUID, key: str) -> Paper | None:
    """The paper that a user posted with an idempotency key."""
    query = select(Paper).where(Paper.created_by == user_id, Paper.idempotency_key == key)
    return (await session.execute(query)).scalar_one_or_none()


async def delete_paper(session: AsyncSession, paper_id: uuid.UUID) -> None:
    """Deletes a paper; the reports on it stay, as reports on their runs."""
    reports = update(Report).where(Report.paper_id == paper_id).values(paper_id=None)
    await session.execute(reports.execution_options(synchronize_session=False))
    await session.execute(delete(Paper).where(Paper.id == paper_id))


async def lock(session: AsyncSession, paper_id: uuid.UUID) -> None:
    """Makes other changes of the paper wait until this transaction ends."""
    query = select(Paper).where(Paper.id == paper_id).with_for_update()
    await session.execute(query.execution_options(populate_existing=True))


async def page(
    session: AsyncSession,
    viewer: Viewer,
    project: str | None,
    after: tuple[str, uuid.UUID] | None,
    limit: int,
) -> Sequence[Any]:
    """A page of the papers that the viewer sees, newest first."""
    query = _with_project().where(sees_paper(viewer))
    if project is not None:
        query = query.where(Project.name == project)
    if after is not None:
        created_at = cast(literal(after[0]), DateTime(timezone=True))
        query = query.where(
            tuple_(Paper.created_at, Paper.id)
            < tuple_(created_at, literal(after[1], Paper.id.type))
        )
    newest = query.order_by(Paper.created_at.desc(), Paper.id.desc()).limit(limit)
    return (await session.execute(newest)).all()


async def runs_of(session: AsyncSession, paper_id: uuid.UUID) -> Sequence[PaperRun]:
    """The runs that were added to a paper, or fixed by freezing it."""
    query = select(PaperRun).where(PaperRun.paper_id == paper_id)
    fresh = query.execution_options(populate_existing=True)
    return (await session.execute(fresh)).scalars().all()


async def put_runs(
    session: AsyncSession, paper_id: uuid.UUID, run_ids: Sequence[uuid.UUID], purpose: str | None
) -> None:
    """Adds runs to a paper; those in it get the purpose."""
    rows = [{"paper_id": paper_id, "run_id": run_id, "purpose": purpose} for run_id in run_ids]
    statement = insert(PaperRun).values(rows)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["paper_id", "run_id"], set_={"purpose": statement.excluded.purpose}
        )
    )


async def remove_run(session: AsyncSession, paper_id: uuid.UUID, run_id: uuid.UUID) -> bool:
    """Removes a run that was added; returns whether it had been."""
    statement = delete(PaperRun).where(PaperRun.paper_id == paper_id, PaperRun.run_id == run_id)
    return bool((await session.execute(statement.returning(PaperRun.run_id))).first())


async def fix_runs(
    session: AsyncSession, paper_id: uuid.UUID, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Replaces the runs of a paper by those that freezing fixes."""
    await session.execute(delete(PaperRun).where(PaperRun.paper_id == paper_id))
    if rows:
        await session.execute(
            insert(PaperRun).values([{"paper_id": paper_id, **row} for row in rows])
        )


async def facts(session: AsyncSession, run_ids: Sequence[uuid.UUID]) -> Sequence[Any]:
    """Names, kind, status, tags, recipe, origin, quote and place in a study, oldest first."""
    query = (
        select(
            Run.id,
            Run.name,
            Run.kind,
            Run.status,
            Run.tags,
            Run.recipe,
            Run.origin.label("run_origin"),
            Run.measured_by,
            Project.name.label("project"),
            Experiment.name.label("experiment"),
            Quote.content.label("quote"),
            StudyRun.study_id,
            StudyRun.trial,
            StudyRun.rung,
        )
        .join(Project, Project.id == Run.project_id)
        .join(Experiment, Experiment.id == Run.experiment_id)
        .outerjoin(Quote, Quote.run_id == Run.id)
        .outerjoin(StudyRun, StudyRun.run_id == Run.id)
        .where(Run.id.in_(run_ids))
        .order_by(Run.created_at, Run.id)
    )
    return (await session.execute(query)).all()


async def newest_tags(
    session: AsyncSession, run_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, tuple[int, str]]:
    """Version and hash of the newest price tag of each run that has one."""
    query = (
        select(PriceTag.run_id, PriceTag.version, PriceTag.content_sha256)
        .where(PriceTag.run_id.in_(run_ids))
        .ext(distinct_on(PriceTag.run_id))
        .order_by(PriceTag.run_id, PriceTag.version.desc())
    )
    rows = (await session.execute(query)).all()
    return {row.run_id: (row.version, row.content_sha256) for row in rows}


async def reports_of(session: AsyncSession, paper_id: uuid.UUID) -> Sequence[Any]:
    """The reports on a paper without their content, newest first."""
    query = (
        select(Report.id, Report.title, Report.profile, Report.created_at, Report.content_sha256)
        .where(Report.paper_id == paper_id)
        .order_by(Report.created_at.desc(), Report.id)
        .limit(50)
    )
    return (await session.execute(query)).all()


async def newest_report(session: AsyncSession, paper_id: uuid.UUID) -> Report | None:
    """The newest report on a paper."""
    query = (
        select(Report)
        .where(Report.paper_id == paper_id)
        .order_by(Report.created_at.desc(), Report.id)
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()
