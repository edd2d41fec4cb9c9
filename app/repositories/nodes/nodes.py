"""SQL of worker nodes."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from models import Attempt, EnergyHour, Node


async def list_nodes(session: AsyncSession) -> Sequence[Node]:
    return (await session.execute(select(Node).order_by(Node.name))).scalars().all()


async def devices_in_use(session: AsyncSession) -> set[tuple[str, str]]:
    """Node and UUID of each device that an open attempt has."""
    query = select(Attempt.node_name, Attempt.devices).where(Attempt.ended_at.is_(None))
    return {
        (node_name, str(device.get("uuid")))
        for node_name, devices in (await session.execute(query)).all()
        for device in devices
    }


async def sites_since(session: AsyncSession, since: datetime) -> dict[str, str | None]:
    """The site of each node whose energy was metered in the hours since a time."""
    query = (
        select(EnergyHour.node_name, func.max(EnergyHour.site))
        .where(EnergyHour.hour >= since, EnergyHour.attempt_id.is_(None))
        .group_by(EnergyHour.node_name)
    )
    return {name: site for name, site in (await session.execute(query)).all()}


async def running_by_node(session: AsyncSession) -> dict[str, list[uuid.UUID]]:
    """Runs with an open attempt, by the name of the node."""
    query = select(Attempt.node_name, Attempt.run_id).where(Attempt.ended_at.is_(None))
    result: dict[str, list[uuid.UUID]] = defaultdict(list)
    for node_name, run_id in (await session.execute(query.order_by(Attempt.started_at))).all():
        result[node_name].append(run_id)
    return result
