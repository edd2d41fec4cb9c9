"""The lab's energy account."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from app.api.access import READ
from app.api.deps import Caller, CurrentSession
from app.api.v1.responses import problems
from app.schemas.common import Moment, StoredName
from app.schemas.energy import EnergyAccount, EnergyBy
from app.services.energy.account import energy_account

router = APIRouter(prefix="/energy", tags=["measurements"])


@router.get(
    "",
    dependencies=[READ],
    summary="Show the energy account by node, site, project, user, hour, day or month",
    response_model=EnergyAccount,
    responses=problems(404),
)
async def get_energy(
    session: CurrentSession,
    caller: Caller,
    start: Annotated[
        Moment | None,
        Query(alias="from", description="First hour (UTC); by default 7 days before `to`."),
    ] = None,
    stop: Annotated[
        Moment | None,
        Query(
            alias="to",
            description="End, exclusive (UTC hour); by default the end of the current hour.",
        ),
    ] = None,
    by: Annotated[EnergyBy, Query(description="Grouping of the items.")] = "node",
    node: Annotated[StoredName | None, Query(description="Only this node.")] = None,
    compare: Annotated[
        bool, Query(description="Add the account of the same length before, and the change.")
    ] = False,
    failed: Annotated[bool, Query(description="Add the share of failed work.")] = False,
) -> Response:
    """Energy metered on the nodes, charged to finished runs, used by running ones so far, and
    unallocated (idle, other users), in full UTC hours. The lab's total is charged + running +
    unallocated + undecided. Days and months are in UTC.
    Covers at most 3660 days, or 31 days by hour.
    """
    account = await energy_account(
        session, caller, start=start, stop=stop, by=by, node=node, compare=compare, failed=failed
    )
    return Response(account, media_type="application/json")
