"""The visitor's own account: rights, and browsers that are signed in."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Path, Request, Response
from fastapi.responses import RedirectResponse

from app.api.access import ME, OWN_SESSION
from app.api.deps import Caller, CurrentSession
from app.services.people import users, web_sessions
from app.web.links import rel
from app.web.rendering import page_router, render
from app.web.views import account as account_views

router = page_router()
SessionId = Annotated[uuid.UUID, Path(description="ID of the session.")]


@router.get("/account", dependencies=[ME])
async def show_account(request: Request, session: CurrentSession, caller: Caller) -> Response:
    """The visitor, and the browsers that they are signed in with."""
    me = await users.me(session, caller)
    sessions = await web_sessions.list_own(session, caller)
    return render(request, "account.html", account=account_views.account(me, sessions))


@router.post("/account/sessions/{session_id}/end", dependencies=[OWN_SESSION])
async def end_session(
    request: Request, session: CurrentSession, caller: Caller, session_id: SessionId
) -> Response:
    """Ends a session of the visitor."""
    await web_sessions.end(session, session_id, caller)
    return RedirectResponse(rel(request, "show_account"), 303)
