"""SQL of runs: one query for a page of them, with project, experiment and headline."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Select, Uuid, any_, literal, select, text, true
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from app.repositories.people.visibility import Viewer, sees_project
from app.repositories.price_tags.headlines import STORED_HEADLINE, headlines
from app.repositories.runs.orders import Order, Position
from app.repositories.runs.pages import first
from app.repositories.runs.selection import Selection
from models import Experiment, IdempotencyKey, PriceTag, Project, Run, User
from models.issued import TOTALS


@dataclass(frozen=True)
class RunRow:
    """A run with the names and figures that lists show."""

    run: Run
    project: str
    experiment: str
    user: str | None
    headline: dict[str, Any] | None
    key: str | None = None
    """What a list is sorted by, as text; the run may have changed since it was found by it."""


def _select_rows() -> Select[Any]:
    newest = (
        select(
            PriceTag.version.label("version"),
            *(getattr(PriceTag, name).label(name) for name in TOTALS),
            STORED_HEADLINE,
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
            *(newest.c[name] for name in ("version", *TOTALS, "stored_headline")),
        )
        .join(Project, Project.id == Run.project_id)
        .join(Experiment, Experiment.id == Run.experiment_id)
        .outerjoin(User, User.id == Run.created_by)
        .outerjoin(newest, true())
    )


async def _rows(session: AsyncSession, rows: Sequence[Any]) -> list[RunRow]:
    stored = {
        (row.Run.id, row.version): row.stored_headline for row in rows if row.version is not None
    }
    details = await headlines(session, stored)
    return [
        RunRow(
            run=row.Run,
            project=row.project,
            experiment=row.experiment,
            user=row.user,
            headline=None
            if row.version is None
            else {name: getattr(row, name) for name in ("version", *TOTALS)}
            | details[row.Run.id, row.version],
        )
        for row in rows
    ]


async def list_runs(
    session: AsyncSession,
    selection: Selection,
    *,
    sort: str,
    after: Position | None,
    limit: int,
    backwards: bool = False,
    currency: str | None = None,
) -> list[RunRow]:
    """A page of runs; the figures of their price tags are read for these runs alone.

    Args:
        session: Database session.
        selection: Which runs.
        sort: `created_at`, `finished_at`, `name` or one of `FIGURES`, with `-` before it for
            descending.
        after: Sort value (as text) and id of the run next to the page: the last one of the
            previous page, or the first one of the following page.
        limit: Maximum number of runs.
        backwards: Whether the page ends before that run. It has the runs that are nearest to it.
        currency: Of an order by `cost`: runs whose cost is in another one come with those of
            unknown cost, after all others.
    """
    order = Order.parse(sort, currency if sort.endswith("cost") else None)
    order = order.backwards() if backwards else order

    keyed_ids = await first(session, selection, order, after=after, limit=limit)
    query = _select_rows().options(defer(Run.recipe))
    # An array is one parameter, and the text of the statement is the same for any number of runs.
    ids = literal([run_id for _, run_id in keyed_ids], ARRAY(Uuid))
    query = query.where(Run.id == any_(ids))
    rows = {row.run.id: row for row in await _rows(session, (await session.execute(query)).all())}
    page = [replace(rows[run_id], key=key) for key, run_id in keyed_ids if run_id in rows]
    return page[::-1] if backwards else page


async def named_headlines(
    session: AsyncSession, run_ids: Sequence[uuid.UUID]
) -> list[tuple[uuid.UUID, str, dict[str, Any]]]:
    """Id, name and headline of runs with a price tag, in the order of the ids."""
    newest = (
        select(PriceTag.version.label("version"), STORED_HEADLINE)
        .where(PriceTag.run_id == Run.id)
        .order_by(PriceTag.version.desc())
        .limit(1)
        .lateral("newest")
    )
    query = select(Run.id, Run.name, newest.c.version, newest.c.stored_headline)
    query = query.join(newest, true()).where(Run.id == any_(literal(list(run_ids), ARRAY(Uuid))))
    rows = {row.id: row for row in await session.execute(query)}
    stored = {(row.id, row.version): row.stored_headline for row in rows.values()}
    details = await headlines(session, stored)
    return [
        (run_id, rows[run_id].name, details[run_id, rows[run_id].version])
        for run_id in run_ids
        if run_id in rows
    ]


async def oldest_ids(session: AsyncSession, selection: Selection, limit: int) -> list[uuid.UUID]:
    """Ids of the selected runs, oldest first."""
    order = Order.parse("created_at")
    return [run_id for _, run_id in await first(session, selection, order, after=None, limit=limit)]


async def list_chosen(
    session: AsyncSession, viewer: Viewer, run_ids: Sequence[uuid.UUID]
) -> list[RunRow]:
    """The runs with these ids that the viewer may see, in the order of the ids."""
    query = _select_rows().options(defer(Run.recipe)).where(Run.id.in_(run_ids))
    visible = query.where(sees_project(viewer))
    rows = await _rows(session, (await session.execute(visible)).all())
    places = {run_id: place for place, run_id in enumerate(run_ids)}
    return sorted(rows, key=lambda row: places[row.run.id])


async def get_row(session: AsyncSession, run_id: uuid.UUID) -> RunRow | None:
    rows = (await session.execute(_select_rows().where(Run.id == run_id))).all()
    return next(iter(await _rows(session, rows)), None)


async def add(session: AsyncSession, run: Run) -> None:
    session.add(run)
    await session.flush()


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
