"""Sessions of browsers: users see and end their own, administrators those of all users."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Path, Query

from app.api.access import ME, OWN_SESSION
from app.api.branches import Branch
from app.api.deps import Caller, CurrentSession, Cursor, Limit
from app.api.v1.responses import problems
from app.schemas.sessions import SessionPage, SessionRead
from app.services.people import web_sessions

router = Branch(prefix="/sessions", tags=["users"])


@router.get(
    "",
    dependencies=[ME],
    summary="List signed-in browsers",
    responses=problems(403),
)
async def list_sessions(
    session: CurrentSession,
    caller: Caller,
    everyone: Annotated[
        bool, Query(alias="all", description="Sessions of all users; requires the role admin.")
    ] = False,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> SessionPage:
    """Lists the caller's valid sessions, or with `all` everybody's, newest first."""
    return await web_sessions.list_page(
        session, caller, everyone=everyone, cursor=cursor, limit=limit
    )


@router.delete(
    "/{session_id}",
    dependencies=[OWN_SESSION],
    summary="End a session",
    responses=problems(404),
)
async def delete_session(
    session: CurrentSession,
    caller: Caller,
    session_id: Annotated[uuid.UUID, Path(description="ID of the session.")],
) -> SessionRead:
    """Signs the browser out at once; ending a session again changes nothing. For its user and
    administrators.
    """
    return await web_sessions.end(session, session_id, caller)
