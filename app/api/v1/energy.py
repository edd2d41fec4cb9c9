"""Where the lab's energy went."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.api.access import READ
from app.api.deps import Caller, CurrentSession
from app.api.v1.responses import problems
from app.schemas.common import Moment, Name
from app.schemas.energy import EnergyAccount, EnergyBy
from app.services.energy.account import energy_account

router = APIRouter(prefix="/energy", tags=["measurements"])


@router.get(
    "",
    operation_id="getEnergy",
    dependencies=[READ],
    summary="Energy by node, component, project or hour",
    responses=problems(404),
)
async def get_energy(
    session: CurrentSession,
    caller: Caller,
    start: Annotated[
        Moment | None,
        Query(alias="from", description="A whole hour of UTC; by default 7 days before `to`."),
    ] = None,
    stop: Annotated[
        Moment | None,
        Query(alias="to", description="Exclusive; by default the end of the present hour."),
    ] = None,
    by: Annotated[EnergyBy, Query(description="What the items are about.")] = "node",
    node: Annotated[Name | None, Query(description="Of this node alone.")] = None,
) -> EnergyAccount:
    """What the nodes' own meters read, what runs were charged of it (those that are going: so
    far), and what is left to the nodes (idling, other users), in whole hours: the lab's total is
    charged + running + unallocated, plus what is undecided. At most 366 days, 31 by hour.
    """
    return await energy_account(session, caller, start=start, stop=stop, by=by, node=node)
