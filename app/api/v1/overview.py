"""The lab at a glance."""

from __future__ import annotations

from app.api.access import READ
from app.api.branches import Branch
from app.api.deps import Caller, CurrentSession, ServerResources
from app.api.v1.responses import problems
from app.schemas.overview import OverviewRead, PowerRead
from app.services.overview import power, reading

router = Branch(tags=["measurements"])


@router.get(
    "/power",
    dependencies=[READ],
    summary="Show the power of every device now",
    responses=problems(),
)
async def get_power(
    session: CurrentSession, resources: ServerResources, caller: Caller
) -> PowerRead:
    """Shows the power of every metered device in the latest second that it reported, and the runs
    that are using it. `GET /v1/stream` follows it.
    """
    return await power.read(session, caller, resources.live.board)


@router.get(
    "/overview", dependencies=[READ], summary="Show the lab at a glance", responses=problems()
)
async def get_overview(
    session: CurrentSession, resources: ServerResources, caller: Caller
) -> OverviewRead:
    """Shows the lab's power now, its use today and this month, the budget that is used up next,
    running and failed runs, and idle accelerators. Runs and budgets of projects that you may not
    see are not listed; sums include them.
    """
    return await reading.read(session, caller, resources.overview, resources.live)
