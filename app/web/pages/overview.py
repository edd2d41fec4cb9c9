"""The overview: what the lab does now."""

from __future__ import annotations

from fastapi import Request, Response

from app.api.access import READ
from app.api.deps import Caller, CurrentSession
from app.services.runs import listing
from app.web.rendering import page_router, render
from app.web.views import runs as run_views

router = page_router()


@router.get("/", dependencies=[READ])
async def show_overview(request: Request, session: CurrentSession, caller: Caller) -> Response:
    """Running and newest runs."""
    running = await listing.list_page(
        session,
        caller,
        listing.RunFilter(statuses=("running",)),
        sort="-created_at",
        cursor=None,
        limit=20,
        count=True,
    )
    newest = await listing.list_page(
        session, caller, listing.RunFilter(), sort="-created_at", cursor=None, limit=10
    )
    return render(
        request,
        "overview.html",
        running=run_views.rows(running.items),
        running_count=run_views.count(running.count),
        newest=run_views.rows(newest.items),
    )
