"""Sessions of all browsers."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Path, Request, Response
from fastapi.responses import RedirectResponse

from app.api.access import SESSIONS
from app.api.deps import Caller, CurrentSession, Cursor, Limit
from app.services.people import web_sessions
from app.web.links import rel
from app.web.rendering import page_router, render, section
from app.web.views.account import session_rows

router = page_router()
SessionId = Annotated[uuid.UUID, Path(description="ID of the session.")]
IN_ADMIN = section("show_admin")


@router.get("/admin/sessions", dependencies=[SESSIONS], openapi_extra=IN_ADMIN)
async def show_sessions(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Response:
    """A page of the browsers that are signed in, newest session first."""
    page = await web_sessions.list_page(session, caller, everyone=True, cursor=cursor, limit=limit)
    return render(
        request,
        "admin/sessions.html",
        tab="show_sessions",
        sessions=session_rows(page.items),
        next_cursor=page.next_cursor,
        limit=limit,
    )


@router.post("/admin/sessions/{session_id}/end", dependencies=[SESSIONS], openapi_extra=IN_ADMIN)
async def end_any_session(
    request: Request, session: CurrentSession, caller: Caller, session_id: SessionId
) -> Response:
    """Signs a browser out."""
    await web_sessions.end(session, session_id, caller)
    return RedirectResponse(rel(request, "show_sessions"), 303)
