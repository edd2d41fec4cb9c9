"""SQL of idle powers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncSession

from models import Baseline


async def add(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        await session.execute(insert(Baseline).values(list(rows)).on_conflict_do_nothing())


async def newest(session: AsyncSession) -> list[Baseline]:
    slot = (Baseline.node_name, Baseline.component, Baseline.state)
    statement = select(Baseline).ext(distinct_on(*slot))
    newest_first = statement.order_by(*slot, Baseline.measured_at.desc())
    return list(await session.scalars(newest_first))
