"""The lab's energy account."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from fastapi.responses import Response

from app.api.access import READ
from app.api.branches import Branch
from app.api.deps import Caller, CurrentSession, FromHour, ServerResources, ToHour
from app.api.v1.responses import problems
from app.schemas.common import StoredName
from app.schemas.emissions import EmissionsRead
from app.schemas.energy import EnergyAccount, EnergyBy, EnergyOverTime, Grain, TimeBy
from app.services.carbon import emissions
from app.services.energy import over_time
from app.services.energy.account import energy_account

router = Branch(prefix="/energy", tags=["measurements"])


OnlyNode = Annotated[StoredName | None, Query(description="Only this node.")]


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
    start: FromHour = None,
    stop: ToHour = None,
    by: Annotated[EnergyBy, Query(description="Grouping of the items.")] = "node",
    node: OnlyNode = None,
    compare: Annotated[
        bool,
        Query(
            description=(
                "Add the account of the preceding period of the same length, and the change."
            )
        ),
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


@router.get(
    "/over-time",
    dependencies=[READ],
    summary="Show the energy account over time, stacked by use, node, site, project or user",
    responses=problems(404),
)
async def get_energy_over_time(
    session: CurrentSession,
    caller: Caller,
    start: FromHour = None,
    stop: ToHour = None,
    by: Annotated[TimeBy, Query(description="Kind of the parts of each bucket.")] = "use",
    grain: Annotated[
        Grain | None,
        Query(description="Length of the buckets; by default one that gives up to about 100."),
    ] = None,
    node: OnlyNode = None,
) -> EnergyOverTime:
    """Energy used in each hour, day or month, with the part of each use (charged, running,
    unallocated, undecided), node, component, site, project or user. By hour, a range has at most 31
    days (7 for parts other than uses); by day, 366 (92); by month, 3660.
    """
    return await over_time.over_time(
        session, caller, start=start, stop=stop, by=by, grain=grain, node=node
    )


@router.get(
    "/emissions",
    dependencies=[READ],
    summary="Show scope 2 emissions by site and month, location-based and market-based",
    responses=problems(),
)
async def get_emissions(
    session: CurrentSession,
    caller: Caller,
    resources: ServerResources,
    start: FromHour = None,
    stop: ToHour = None,
) -> EmissionsRead:
    """Emissions of all metered energy, idle power included, by the factors of each month: IT
    energy x PUE x carbon intensity. Where a zone has an hourly series, the intensity of a month is
    the mean of its recorded hours, and the annual figure applies to the others.
    """
    return await emissions.read(session, resources.settings, start=start, stop=stop)
