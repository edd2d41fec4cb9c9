"""SQL of users."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from models import Project, ProjectMember, User


async def announce(session: AsyncSession) -> None:
    """Declares that this transaction writes its own audit entries.

    For other writers, the database adds the entries itself.
    """
    await session.execute(text("SELECT set_config('pricetag.audited', 'on', true)"))


async def add(session: AsyncSession, user: User) -> bool:
    """Adds a user; returns False if the name or the external identity is in use."""
    values = {
        column.key: getattr(user, column.key)
        for column in User.__mapper__.columns
        if getattr(user, column.key) is not None
    }
    statement = insert(User).values(values).on_conflict_do_nothing().returning(User.id)
    return (await session.execute(statement)).first() is not None


async def get(session: AsyncSession, user_id: uuid.UUID, *, lock: bool = False) -> User | None:
    query = select(User).where(User.id == user_id).execution_options(populate_existing=True)
    if lock:
        query = query.with_for_update()
    return (await session.execute(query)).scalar_one_or_none()


async def by_name(session: AsyncSession, name: str) -> User | None:
    return (await session.execute(select(User).where(User.name == name))).scalar_one_or_none()


async def by_identity(session: AsyncSession, issuer: str, subject: str) -> User | None:
    query = select(User).where(User.issuer == issuer, User.subject == subject)
    return (await session.execute(query)).scalar_one_or_none()


async def save(session: AsyncSession) -> bool:
    """Writes changes of users; returns False if a name or an external identity is in use."""
    try:
        async with session.begin_nested():
            await session.flush()
    except IntegrityError:
        return False
    return True


async def page(session: AsyncSession, after: str | None, limit: int) -> Sequence[User]:
    """Users by name, including disabled ones."""
    query = select(User).order_by(User.name).limit(limit)
    if after is not None:
        query = query.where(User.name > after)
    return (await session.execute(query)).scalars().all()


async def lock_admins(session: AsyncSession) -> None:
    """Locks the administrators, so that two requests cannot remove the last two of them."""
    query = select(User.id).where(User.role == "admin").order_by(User.id).with_for_update()
    await session.execute(query)


async def memberships(session: AsyncSession, user_id: uuid.UUID) -> Sequence[tuple[str, str]]:
    """``(project, role)`` of each project that a user is a member of, by name."""
    query = (
        select(Project.name, ProjectMember.role)
        .join(Project, Project.id == ProjectMember.project_id)
        .where(ProjectMember.user_id == user_id)
        .order_by(Project.name)
    )
    return [(name, role) for name, role in (await session.execute(query)).all()]


async def free_name(session: AsyncSession, name: str) -> str:
    """The name, or the first of ``name (2)``, ``name (3)``, ... that is not in use."""
    names = set((await session.execute(select(User.name))).scalars())
    number, free = 1, name
    while free in names:
        number += 1
        free = f"{name} ({number})"
    return free


async def first_admin(session: AsyncSession) -> User | None:
    """The administrator who was there first, of those who are not disabled."""
    query = (
        select(User)
        .where(User.role == "admin", User.disabled_at.is_(None))
        .order_by(User.created_at, User.id)
        .limit(1)
    )
    return (await session.execute(query)).scalar_one_or_none()
