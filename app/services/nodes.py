"""Worker machines, as last registered."""

from __future__ import annotations

from datetime import UTC, datetime

from app.db import Session
from app.repositories.nodes import nodes
from app.schemas.nodes import IdlePowerRead, NodeList, NodeRead, WorkerRead
from app.services import access
from app.services.energy import baselines
from app.services.principals import Principal
from app.services.queueing import waiting
from models import WorkerProcess


async def list_nodes(session: Session, by: Principal) -> NodeList:
    """All nodes that ever registered, with the runs on them now.

    Runs that the principal may not see are counted, but not listed.
    """
    running = await nodes.running_by_node(session)
    everything = [run_id for runs in running.values() for run_id in runs]
    visible = await access.visible_runs(session, by, everything)
    idle = await baselines.newest(session)
    live = await waiting.live(session)
    now = datetime.now(UTC)
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
                workers=[_worker(each, now) for each in live if each.node_name == node.name],
                running=[run_id for run_id in running.get(node.name, []) if run_id in visible],
                running_hidden=sum(run_id not in visible for run_id in running.get(node.name, [])),
                baselines=[
                    IdlePowerRead.model_validate(item, from_attributes=True)
                    for item in idle.get(node.name, [])
                ],
            )
            for node in await nodes.list_nodes(session)
        ]
    )


def _worker(worker: WorkerProcess, now: datetime) -> WorkerRead:
    return WorkerRead(
        pool=worker.pool,
        gpus=worker.gpus,
        cpu_slots=worker.cpu_slots,
        allows_commands=worker.allows_commands,
        last_seen_at=worker.last_seen_at,
        late=waiting.is_late(worker, now),
    )
