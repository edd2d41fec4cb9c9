"""Worker machines, as they last described themselves."""

from __future__ import annotations

from app.db import Session
from app.repositories import nodes
from app.schemas.nodes import IdlePowerRead, NodeList, NodeRead
from app.services.energy import baselines


async def list_nodes(session: Session) -> NodeList:
    """Every node that ever reported, with what runs on it now."""
    running = await nodes.running_by_node(session)
    idle = await baselines.newest(session)
    return NodeList(
        items=[
            NodeRead(
                id=node.id,
                name=node.name,
                pool=node.pool,
                devices=node.devices,
                capabilities=node.capabilities,
                created_at=node.created_at,
                last_seen_at=node.last_seen_at,
                running=running.get(node.name, []),
                baselines=[
                    IdlePowerRead.model_validate(item, from_attributes=True)
                    for item in idle.get(node.name, [])
                ],
            )
            for node in await nodes.list_nodes(session)
        ]
    )
