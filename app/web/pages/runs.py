"""The table of runs."""

from __future__ import annotations

from fastapi import Request, Response

from app.api.access import READ
from app.api.deps import Caller, CurrentSession, Cursor, Limit
from app.services.runs import listing
from app.web.rendering import page_router, render
from app.web.views import runs as run_views

router = page_router()


@router.get("/runs", dependencies=[READ])
async def show_runs(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """A page of runs, newest first."""
    page = await listing.list_page(
        session,
        caller,
        listing.RunFilter(),
        sort="-created_at",
        cursor=cursor,
        limit=limit,
        count=True,
    )
    return render(
        request,
        "runs.html",
        runs=run_views.rows(page.items),
        count=run_views.count(page.count),
        next_cursor=page.next_cursor,
        limit=limit,
    )
