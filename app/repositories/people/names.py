"""SQL that finds the names of objects of any kind by their IDs."""

from __future__ import annotations

import uuid
from collections.abc import Collection

from sqlalchemy import select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from models import Budget, Experiment, Project, Run, Token, User

NAMED = (User, Token, Project, Experiment, Budget, Run)


async def names_of(session: AsyncSession, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Current names of users, tokens, projects, experiments, budgets and runs; others have none."""
    if not ids:
        return {}
    queries = (select(table.id, table.name).where(table.id.in_(ids)) for table in NAMED)
    rows = await session.execute(union_all(*queries))
    return {row.id: row.name for row in rows}
