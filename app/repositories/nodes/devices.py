"""SQL of all known devices: those that nodes list, and those that were metered."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from models import Baseline, EnergyHour, Node

GPU = "gpu:"


async def of_nodes(session: AsyncSession) -> set[str]:
    """UUIDs of the devices that nodes list."""
    shown = (await session.execute(select(Node.devices))).scalars().all()
    return {str(device["uuid"]) for devices in shown for device in devices if device.get("uuid")}


async def names(session: AsyncSession) -> set[str]:
    """Product names of the devices that nodes list."""
    shown = (await session.execute(select(Node.devices))).scalars().all()
    return {str(device["name"]) for devices in shown for device in devices if device.get("name")}


async def was_seen(session: AsyncSession, uuid: str) -> bool:
    """Whether a device with this UUID is known; ignores case."""
    folded = uuid.casefold()
    if folded in {listed.casefold() for listed in await of_nodes(session)}:
        return True
    components = (folded, f"{GPU}{folded}")
    for column in (EnergyHour.component, Baseline.component):
        metered = select(column).where(func.lower(column).in_(components)).limit(1)
        if await session.scalar(metered) is not None:
            return True
    return False
