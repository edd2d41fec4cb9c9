"""The state of the service, for its administrators."""

from __future__ import annotations

from app.api.access import HEALTH
from app.api.branches import Branch
from app.api.deps import Caller, CurrentSession, Resources, ServerResources
from app.api.v1.responses import problems
from app.schemas.lab_health import LabHealth, MeterHealth
from app.services.health import lab_health
from app.services.health.lab_health import ServerState

router = Branch(prefix="/health", tags=["health"])


@router.get(
    "",
    dependencies=[HEALTH],
    summary="Show the state of the service",
    responses=problems(403),
)
async def get_lab_health(
    session: CurrentSession, resources: ServerResources, caller: Caller
) -> LabHealth:
    """Checks database, migration, workers, queue, meters and disks, and states for each what to do.
    Requires the role admin.
    """
    return await lab_health.examine(session, caller, server_state(resources))


def server_state(resources: Resources) -> ServerState:
    """Facts that this process knows without its database."""
    meters = [
        MeterHealth(
            node=device.node,
            component=device.component,
            name=device.name,
            reporting=device.reporting,
        )
        for device in resources.live.board.devices()
    ]
    return ServerState(
        settings=resources.settings,
        alarms=resources.alarms.messages,
        notices=resources.notices.messages,
        meters=meters,
    )
