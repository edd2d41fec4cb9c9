"""SQL of share links."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from app.repositories.people.visibility import (
    Viewer,
    sees_paper,
    sees_project_id,
    sees_report,
)
from models import Paper, Project, Run, Share, User


def _rows() -> Select[Share, User]:
    return select(Share, User).join(User, User.id == Share.created_by)


async def add(session: AsyncSession, share: Share) -> None:
    """Stores a link."""
    session.add(share)
    await session.flush()


async def page(
    session: AsyncSession,
    user_id: uuid.UUID | None,
    *,
    before: tuple[datetime, uuid.UUID] | None,
    limit: int,
) -> Sequence[Any]:
    """A page of links with their users, newest first: a user's, or everybody's."""
    query = _rows().order_by(Share.created_at.desc(), Share.id.desc()).limit(limit)
    if user_id is not None:
        query = query.where(Share.created_by == user_id)
    if before is not None:
        query = query.where(tuple_(Share.created_at, Share.id) < before)
    return (await session.execute(query)).all()


async def get(session: AsyncSession, share_id: uuid.UUID) -> Any:
    """A link with its user; None without one."""
    return (await session.execute(_rows().where(Share.id == share_id))).one_or_none()


async def visible(
    session: AsyncSession, viewer: Viewer, share_ids: Sequence[uuid.UUID]
) -> set[uuid.UUID]:
    """The subset of the links that show what the viewer may see."""
    paper = select(Paper.id).join(Project, Project.id == Paper.project_id)
    run = select(Run.id).where(Run.id == Share.run_id, sees_project_id(viewer, Run.project_id))
    query = select(Share.id).where(
        Share.id.in_(share_ids),
        Share.paper_id.is_(None)
        | paper.where(Paper.id == Share.paper_id, sees_paper(viewer)).exists(),
        Share.run_id.is_(None) | run.exists(),
        Share.report_id.is_(None) | sees_report(viewer, Share.report_id),
    )
    return set((await session.execute(query)).scalars())


async def by_secret(session: AsyncSession, secret_sha256: str) -> Any:
    """The link with this secret, its user and its content; None without one."""
    query = _rows().where(Share.secret_sha256 == secret_sha256).options(undefer(Share.context))
    return (await session.execute(query)).one_or_none()


async def price_tags(session: AsyncSession, share_id: uuid.UUID) -> dict[str, Any] | None:
    """The price tags for the archive of a link for blind review."""
    query = select(Share.price_tags).where(Share.id == share_id)
    stored: dict[str, Any] | None = (await session.execute(query)).scalar_one()
    return stored


async def note_use(session: AsyncSession, share_id: uuid.UUID) -> None:
    """Counts a use."""
    statement = update(Share).where(Share.id == share_id)
    statement = statement.values(use_count=Share.use_count + 1, last_used_at=func.clock_timestamp())
    await session.execute(statement.execution_options(synchronize_session=False))


async def withdraw_of_paper(session: AsyncSession, paper_id: uuid.UUID) -> None:
    """Withdraws all links to a paper."""
    statement = update(Share).where(Share.paper_id == paper_id, Share.withdrawn_at.is_(None))
    statement = statement.values(withdrawn_at=func.clock_timestamp())
    await session.execute(statement.execution_options(synchronize_session=False))
