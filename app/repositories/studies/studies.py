"""SQL of studies and of the record of their trials."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Text, Uuid, and_, any_, cast, func, literal, or_, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by, distinct_on
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.repositories.people.visibility import Viewer, sees_project
from app.repositories.price_tags.headlines import STORED_HEADLINE
from app.repositories.price_tags.price_tags import STORED, decoded
from models import (
    Attempt,
    Metric,
    PriceTag,
    Project,
    Quote,
    Run,
    Study,
    StudyRun,
    StudyTrial,
    Token,
    User,
)


async def add(session: AsyncSession, study: Study) -> None:
    session.add(study)
    await session.flush()


async def add_trial(session: AsyncSession, trial: StudyTrial) -> None:
    session.add(trial)
    await session.flush()


async def add_run(session: AsyncSession, run: StudyRun) -> None:
    session.add(run)
    await session.flush()


async def lock(session: AsyncSession, study_id: uuid.UUID) -> Study | None:
    """The study, locked against other decisions and freshly read."""
    query = (
        select(Study)
        .where(Study.id == study_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return (await session.execute(query)).scalar_one_or_none()


async def by_key(session: AsyncSession, user_id: uuid.UUID, key: str) -> Study | None:
    query = select(Study).where(Study.created_by == user_id, Study.idempotency_key == key)
    return (await session.execute(query)).scalar_one_or_none()


async def running(session: AsyncSession) -> Sequence[uuid.UUID]:
    """Ids of the studies that have not ended, oldest first."""
    query = select(Study.id).where(Study.status == "running").order_by(Study.created_at, Study.id)
    return (await session.execute(query)).scalars().all()


async def of_runs(session: AsyncSession, run_ids: Collection[uuid.UUID]) -> Sequence[uuid.UUID]:
    """Ids of the running studies to which any of the runs belongs."""
    query = (
        select(Study.id)
        .distinct()
        .join(StudyRun, StudyRun.study_id == Study.id)
        .where(StudyRun.run_id.in_(run_ids), Study.status == "running")
    )
    return (await session.execute(query)).scalars().all()


async def author(session: AsyncSession, study: Study) -> Any:
    """Name, role and state of the study's author, and of the token that it was posted with."""
    query = (
        select(
            User.name,
            User.role,
            User.disabled_at,
            Token.role.label("token_role"),
            Token.project_id,
            Token.revoked_at,
        )
        .outerjoin(Token, Token.id == study.token_id)
        .where(User.id == study.created_by)
    )
    return (await session.execute(query)).one()


async def get(session: AsyncSession, viewer: Viewer, study_id: uuid.UUID) -> Any:
    """A study with the names of its project and author; None if it is hidden."""
    query = _rows(viewer).where(Study.id == study_id)
    return (await session.execute(query)).one_or_none()


async def page(
    session: AsyncSession,
    viewer: Viewer,
    *,
    project: str | None,
    status: str | None,
    after: tuple[datetime, uuid.UUID] | None,
    limit: int,
) -> Sequence[Any]:
    """Visible studies, newest first."""
    query = _rows(viewer).order_by(Study.created_at.desc(), Study.id.desc()).limit(limit)
    if project is not None:
        query = query.where(Project.name == project)
    if status is not None:
        query = query.where(Study.status == status)
    if after is not None:
        query = query.where(tuple_(Study.created_at, Study.id) < after)
    return (await session.execute(query)).all()


def _rows(viewer: Viewer) -> Any:
    return (
        select(Study, Project.name.label("project"), User.name.label("user"))
        .join(Project, Project.id == Study.project_id)
        .join(User, User.id == Study.created_by)
        .where(sees_project(viewer))
    )


async def counts(session: AsyncSession, study_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Any]:
    """``trials``, ``runs`` and ``open_runs`` of studies."""
    is_open = Run.status.in_(("queued", "running"))
    query = (
        select(
            StudyRun.study_id,
            func.count(StudyRun.trial.distinct()).label("trials"),
            func.count(StudyRun.run_id).label("runs"),
            func.count(Run.id).filter(is_open).label("open_runs"),
        )
        .outerjoin(Run, Run.id == StudyRun.run_id)
        .where(StudyRun.study_id.in_(study_ids))
        .group_by(StudyRun.study_id)
    )
    return {row.study_id: row for row in (await session.execute(query)).all()}


async def trials(session: AsyncSession, study_id: uuid.UUID) -> Sequence[StudyTrial]:
    query = select(StudyTrial).where(StudyTrial.study_id == study_id).order_by(StudyTrial.number)
    return (await session.execute(query)).scalars().all()


async def runs(session: AsyncSession, study_id: uuid.UUID) -> Sequence[Any]:
    """The runs of a study by trial and rung: the status is null where none could be posted."""
    query = (
        select(
            StudyRun.trial,
            StudyRun.rung,
            StudyRun.run_id,
            StudyRun.failure,
            Run.status,
            Run.status_reason,
            Run.started_at,
        )
        .outerjoin(Run, Run.id == StudyRun.run_id)
        .where(StudyRun.study_id == study_id)
        .order_by(StudyRun.trial, StudyRun.rung)
    )
    return (await session.execute(query)).all()


async def rungs_beside(session: AsyncSession, run_ids: Collection[uuid.UUID]) -> Sequence[Any]:
    """All runs of the trials to which any of the runs belongs, with place, kind and status.

    ``version`` is that of a run's newest price tag; null without one.
    """
    selected = aliased(StudyRun)
    query = (
        _placed()
        .distinct()
        .join(
            selected,
            and_(selected.study_id == StudyRun.study_id, selected.trial == StudyRun.trial),
        )
        .where(selected.run_id == any_(literal(list(run_ids), ARRAY(Uuid))))
    )
    return (await session.execute(query)).all()


async def runs_of_trials(
    session: AsyncSession, trials: Collection[tuple[uuid.UUID, int]]
) -> Sequence[Any]:
    """All runs of trials, by study and number, as ``rungs_beside`` has them."""
    query = _placed().where(tuple_(StudyRun.study_id, StudyRun.trial).in_(list(trials)))
    return (await session.execute(query)).all()


def _placed() -> Any:
    """Runs of studies with their place, kind, status and newest version of the price tag."""
    newest = (
        select(func.max(PriceTag.version))
        .where(PriceTag.run_id == StudyRun.run_id)
        .scalar_subquery()
    )
    return select(
        StudyRun.run_id,
        StudyRun.study_id,
        StudyRun.trial,
        StudyRun.rung,
        Run.kind,
        Run.status,
        newest.label("version"),
    ).join(Run, Run.id == StudyRun.run_id)


async def scores(
    session: AsyncSession, run_ids: Collection[uuid.UUID], metric: str, split: str | None
) -> dict[uuid.UUID, Any]:
    """``last``, ``least`` and ``most`` of a metric of each run that has reported it.

    Args:
        session: Only read.
        run_ids: The runs.
        metric: Name of the metric.
        split: Its split; None for the validation split and for values without one.
    """
    newest_first = aggregate_order_by(Metric.value, Attempt.number.desc(), Metric.seq.desc())
    query = (
        select(
            Attempt.run_id,
            func.array_agg(newest_first).label("values"),
            func.min(Metric.value).label("least"),
            func.max(Metric.value).label("most"),
        )
        .join(Attempt, Attempt.id == Metric.attempt_id)
        .where(Attempt.run_id.in_(run_ids), Metric.name == metric, _of_split(split))
        .where(Metric.value.is_not(None))
        .group_by(Attempt.run_id)
    )
    return {row.run_id: row for row in (await session.execute(query)).all()}


async def reported(
    session: AsyncSession, run_ids: Collection[uuid.UUID], split: str | None
) -> dict[str, int]:
    """The metrics of quality that runs reported, with or without a value, by number of runs."""
    query = (
        select(Metric.name, func.count(Attempt.run_id.distinct()).label("runs"))
        .join(Attempt, Attempt.id == Metric.attempt_id)
        .where(Attempt.run_id.in_(run_ids), Metric.quality, _of_split(split))
        .group_by(Metric.name)
        .order_by(Metric.name)
    )
    return {row.name: row.runs for row in (await session.execute(query)).all()}


def _of_split(split: str | None) -> Any:
    """Values of a split; without one, those of the validation split and of none."""
    if split is not None:
        return Metric.split == split
    return or_(Metric.split.is_(None), Metric.split == "validation")


async def newest_headlines(
    session: AsyncSession, run_ids: Collection[uuid.UUID]
) -> dict[tuple[uuid.UUID, int], bytes | None]:
    """The stored headline of each run's newest price tag, by run and version."""
    query = (
        select(PriceTag.run_id, PriceTag.version, STORED_HEADLINE)
        .where(PriceTag.run_id.in_(run_ids))
        .ext(distinct_on(PriceTag.run_id))
        .order_by(PriceTag.run_id, PriceTag.version.desc())
    )
    rows = (await session.execute(query)).all()
    return {(row.run_id, row.version): row.stored_headline for row in rows}


async def quotes(session: AsyncSession, run_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Quote]:
    """The quotes of runs."""
    query = select(Quote).where(Quote.run_id.in_(run_ids))
    return {quote.run_id: quote for quote in (await session.execute(query)).scalars()}


async def open_attempts(session: AsyncSession, run_ids: Collection[uuid.UUID]) -> Sequence[Any]:
    """The open attempts of runs, with what their use so far is computed from."""
    query = select(
        Attempt.id.label("attempt_id"),
        Attempt.run_id,
        Attempt.node_name,
        Attempt.site,
        cast(Attempt.components, Text).label("components"),
        cast(Attempt.devices, Text).label("devices"),
        Attempt.started_at,
        cast(Attempt.live, Text).label("live"),
    ).where(Attempt.ended_at.is_(None), Attempt.run_id.in_(run_ids))
    return (await session.execute(query)).all()


async def described(session: AsyncSession, study_ids: Collection[uuid.UUID]) -> Sequence[Study]:
    """Studies by their IDs, oldest first."""
    query = select(Study).where(Study.id.in_(study_ids)).order_by(Study.created_at, Study.id)
    return (await session.execute(query)).scalars().all()


async def newest_documents(
    session: AsyncSession, run_ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, dict[str, Any]]:
    """The newest price tag of each run that has one."""
    query = (
        select(PriceTag.run_id, STORED)
        .where(PriceTag.run_id.in_(run_ids))
        .ext(distinct_on(PriceTag.run_id))
        .order_by(PriceTag.run_id, PriceTag.version.desc())
    )
    rows = (await session.execute(query)).all()
    documents = await decoded([row.stored for row in rows])
    return {row.run_id: document for row, document in zip(rows, documents, strict=True)}
