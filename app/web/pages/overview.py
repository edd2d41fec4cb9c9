"""The overview: the lab's power, use and waste, and budgets that will be used up."""

from __future__ import annotations

from typing import Literal

from fastapi import Request, Response

from app.api.access import READ
from app.api.deps import Caller, CurrentSession, ServerResources
from app.services.overview import reading
from app.web.links import stream_url
from app.web.rendering import page_router, render
from app.web.views import overview as overview_views

router = page_router()


@router.get("/", dependencies=[READ])
async def show_overview(
    request: Request,
    session: CurrentSession,
    resources: ServerResources,
    caller: Caller,
    by: Literal["use", "node"] = "use",
) -> Response:
    """The lab at a glance."""
    read = await reading.read(session, caller, resources.overview, resources.live)
    return render(
        request,
        "overview.html",
        lab=overview_views.overview(read),
        stream=stream_url(request),
        by=by,
    )
