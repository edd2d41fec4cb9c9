"""The power wall: a tile for every metered device."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import Query, Request, Response

from app.api.access import READ
from app.api.deps import Caller, CurrentSession, ServerResources
from app.services.overview import power
from app.web.links import stream_url
from app.web.rendering import page_router, render
from app.web.views import power as power_views
from app.web.views.figures import figure

router = page_router()


@router.get("/power", dependencies=[READ])
async def show_power(
    request: Request,
    session: CurrentSession,
    resources: ServerResources,
    caller: Caller,
    sort: Literal["node", "watts", "idle"] = "node",
    use: Literal["", "used", "idle", "silent"] = "",
    q: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Every device with its power and its run."""
    read = await power.read(session, caller, resources.live.board)
    return render(
        request,
        "power.html",
        wall=power_views.wall(read, order=sort, use=use, text=q.strip()),
        total=figure(read.power_w),
        at=read.at or datetime.now(UTC),
        orders=power_views.ORDERS,
        uses=power_views.USES,
        sort=sort,
        use=use,
        q=q,
        stream=stream_url(request),
    )
