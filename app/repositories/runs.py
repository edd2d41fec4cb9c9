"""SQL of runs: one query for a page of them, with project, experiment and headline."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Float,
    Select,
    cast,
    func,
    literal,
    or_,
    select,
    text,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from app.repositories.visibility import Viewer, sees_project
from models import Attempt, Experiment, IdempotencyKey, PriceTag, Project, Run, Stage, User

HEADLINE_QUANTITIES = ("it_energy_kwh", "facility_energy_kwh", "co2e_kg", "duration_s")


@dataclass(frozen=True)
class RunFilter:
    """Filter of runs; all conditions must hold."""

    project: str | None = None
    experiment: str | None = None
    tags: Sequence[str] = field(default_factory=tuple)
    statuses: Sequence[str] = field(default_factory=tuple)
    kind: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    user: str | None = None


@dataclass(frozen=True)
class RunRow:
    """A run with the names and figures that lists show."""

    run: Run
    project: str
    experiment: str
    user: str | None
    headline: dict[str, Any] | None


def _select_rows() -> Select[Any]:
    newest = (
        select(
            PriceTag.version.label("version"),
            *(
                cast(PriceTag.content[name]["value"].astext, Float).label(name)
                for name in HEADLINE_QUANTITIES
            ),
        )
        .where(PriceTag.run_id == Run.id)
        .order_by(PriceTag.version.desc())
        .limit(1)
        .lateral("newest")
    )
    return (
        select(
            Run,
            Project.name.label("project"),
            Experiment.name.label("experiment"),
            User.name.label("user"),
            *(newest.c[name] for name in ("version", *HEADLINE_QUANTITIES)),
        )
        .join(Project, Project.id == Run.project_id)
        .join(Experiment, Experiment.id == Run.experiment_id)
        .outerjoin(User, User.id == Run.created_by)
        .outerjoin(newest, true())
    )


def _row(row: Any) -> RunRow:
    headline = {name: getattr(row, name) for name in ("version", *HEADLINE_QUANTITIES)}
    return RunRow(
        run=row.Run,
        project=row.project,
        experiment=row.experiment,
        user=row.user,
        headline=headline if row.version is not None else None,
    )


def conditions(filters: RunFilter) -> list[ColumnElement[bool]]:
    """The filters as SQL; the query must join projects and experiments."""
    clauses: list[ColumnElement[bool]] = []
    if filters.project is not None:
        clauses.append(Project.name == filters.project)
    if filters.experiment is not None:
        clauses.append(Experiment.name == filters.experiment)
    if filters.tags:
        clauses.append(Run.tags.contains(list(filters.tags)))
    if filters.statuses:
        clauses.append(Run.status.in_(filters.statuses))
    if filters.kind is not None:
        stage_kinds = func.string_to_array(Run.kind, "+")
        is_stage = literal(filters.kind) == func.any(stage_kinds)
        clauses.append(or_(Run.kind == filters.kind, is_stage))
    if filters.created_after is not None:
        clauses.append(Run.created_at > filters.created_after)
    if filters.created_before is not None:
        clauses.append(Run.created_at < filters.created_before)
    if filters.user is not None:
        author = select(User.id).where(User.name == filters.user).scalar_subquery()
        clauses.append(Run.created_by == author)
    return clauses


def _sort_key(name: str) -> ColumnElement[Any]:
    if name == "name":
        return Run.name.expression
    if name == "finished_at":
        # Unfinished runs sort after all finished ones.
        return func.coalesce(Run.finished_at, cast(literal("infinity"), DateTime(timezone=True)))
    return Run.created_at.expression


async def list_runs(
    session: AsyncSession,
    viewer: Viewer,
    filters: RunFilter,
    *,
    sort: str,
    after: tuple[str, uuid.UUID] | None,
    limit: int,
) -> list[RunRow]:
    """A page of runs in one query.

    Args:
        session: Database session.
        viewer: Limits the page to runs that this viewer may see.
        filters: Filters of the runs.
        sort: `created_at`, `finished_at` or `name`, with `-` before it for descending.
        after: Sort value (as text) and id of the previous page's last run.
        limit: Maximum number of runs.
    """
    key = _sort_key(sort.removeprefix("-"))
    descending = sort.startswith("-")
    query = _select_rows().options(defer(Run.recipe))
    query = query.where(*conditions(filters), sees_project(viewer))
    if after is not None:
        here = tuple_(key, Run.id)
        there = tuple_(cast(literal(after[0]), key.type), literal(after[1], Run.id.type))
        query = query.where(here < there if descending else here > there)
    order = (key.desc(), Run.id.desc()) if descending else (key, Run.id)
    rows = (await session.execute(query.order_by(*order).limit(limit))).all()
    return [_row(row) for row in rows]


async def get_row(session: AsyncSession, run_id: uuid.UUID) -> RunRow | None:
    row = (await session.execute(_select_rows().where(Run.id == run_id))).one_or_none()
    return _row(row) if row is not None else None


async def add(session: AsyncSession, run: Run) -> None:
    session.add(run)
    await session.flush()


async def stages(session: AsyncSession, run_id: uuid.UUID) -> Sequence[Stage]:
    """Stages of all attempts of the run, in order."""
    query = (
        select(Stage)
        .join(Attempt, Attempt.id == Stage.attempt_id)
        .where(Attempt.run_id == run_id)
        .order_by(Attempt.number, Stage.index)
    )
    return (await session.execute(query)).scalars().all()


async def find_key(session: AsyncSession, user_id: uuid.UUID, key: str) -> IdempotencyKey | None:
    return await session.get(IdempotencyKey, (user_id, key))


async def claim_key(session: AsyncSession, entry: IdempotencyKey) -> bool:
    """Whether this request is the first with the key; waits for a concurrent one."""
    statement = (
        insert(IdempotencyKey)
        .values(
            user_id=entry.user_id,
            key=entry.key,
            body_sha256=entry.body_sha256,
            run_id=entry.run_id,
        )
        .on_conflict_do_nothing()
        .returning(IdempotencyKey.run_id)
    )
    return (await session.execute(statement)).first() is not None


async def migration_revision(session: AsyncSession) -> str | None:
    """The database's migration revision; None if it was never migrated."""
    exists = await session.execute(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
    if not exists.scalar_one():
        return None
    query = text("SELECT version_num FROM alembic_version")
    return (await session.execute(query)).scalar_one_or_none()
