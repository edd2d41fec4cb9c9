"""SQL of worker nodes."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from models import Attempt, Node


async def list_nodes(session: AsyncSession) -> Sequence[Node]:
    return (await session.execute(select(Node).order_by(Node.name))).scalars().all()


async def running_by_node(session: AsyncSession) -> dict[str, list[uuid.UUID]]:
    """Runs with an open attempt, by the name of the node."""
    query = select(Attempt.node_name, Attempt.run_id).where(Attempt.ended_at.is_(None))
    result: dict[str, list[uuid.UUID]] = defaultdict(list)
    for node_name, run_id in (await session.execute(query.order_by(Attempt.started_at))).all():
        result[node_name].append(run_id)
    return result
