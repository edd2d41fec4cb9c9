"""The log of a run: the newest lines, a search, and links to single lines."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import Field

from app.api.access import SEE_RUN
from app.api.deps import Caller, CurrentSession, RunId
from app.schemas.runs import SearchText
from app.services import cursors
from app.services.runs import reading, series
from app.web import links
from app.web.forms import Filled
from app.web.rendering import page_router, render, section

router = page_router()

LINES = 500
LAST = 2**31 - 1
BEFORE = 50
"""Lines shown before one that is linked to."""

Line = Annotated[Filled[Annotated[int, Field(ge=0, le=2**31 - 1)]], Query()]
Attempt = Annotated[Filled[Annotated[int, Field(ge=1, le=2**31 - 1)]], Query()]
After = Annotated[Filled[Annotated[str, Field(max_length=1000)]], Query()]


@router.get("/runs/{run_id}/log", dependencies=[SEE_RUN], openapi_extra=section("show_runs"))
async def show_run_log(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    run_id: RunId,
    attempt: Attempt = None,
    q: Annotated[Filled[SearchText], Query()] = None,
    line: Line = None,
    after: After = None,
) -> Response:
    """The newest lines; those after a position, around a line, or that contain a text."""
    run = await reading.read(session, caller, run_id)
    if line is not None:
        after = _before(attempt or 1, line)
    page = await series.logs(
        session,
        run_id,
        attempt=attempt,
        after=after,
        limit=LINES,
        search=q,
        newest=after is None,
    )
    return render(
        request,
        "run_log.html",
        run=run,
        lines=page.items,
        next_after=page.next_after if len(page.items) == LINES and after is not None else None,
        attempt=attempt,
        search=q,
        line=line,
        is_newest=after is None,
        logs_url=links.to(request, f"/v1/runs/{run_id}/logs"),
    )


def _before(attempt: int, line: int) -> str:
    """The position some lines before one; the end of the attempt before that near its start."""
    if line <= BEFORE:
        return cursors.encode(attempt - 1, LAST)
    return cursors.encode(attempt, line - BEFORE - 1)
