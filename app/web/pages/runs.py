"""The table of runs: filters, order and pages, all in its address."""

from __future__ import annotations

from typing import Annotated, get_args

from fastapi import Query, Request, Response

from app.api.access import READ
from app.api.deps import Caller, CurrentSession, Cursor, Limit
from app.schemas.common import Moment, RunStatus, StoredName
from app.schemas.runs import RunKind, RunPage, RunSort, SearchText
from app.services.errors import NotFoundError
from app.services.runs import listing
from app.web.forms import Filled
from app.web.rendering import page_router, render
from app.web.views import run_filters
from app.web.views import runs as run_views

router = page_router()
Text = Annotated[Filled[StoredName], Query()]
Time = Annotated[Filled[Moment], Query()]


@router.get("/runs", dependencies=[READ])
async def show_runs(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    project: Text = None,
    experiment: Text = None,
    user: Text = None,
    tag: Annotated[list[Filled[StoredName]] | None, Query(max_length=20)] = None,
    status: Annotated[list[RunStatus] | None, Query(max_length=5)] = None,
    kind: Annotated[Filled[RunKind], Query()] = None,
    q: Annotated[Filled[SearchText], Query()] = None,
    created_after: Time = None,
    created_before: Time = None,
    finished_after: Time = None,
    finished_before: Time = None,
    sort: RunSort = "-created_at",
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """A page of the runs that the filters select."""
    filters = listing.RunFilter(
        project=project,
        experiment=experiment,
        user=caller.name if user == "me" else user,
        tags=[name for name in tag or () if name],
        statuses=status or (),
        kind=kind,
        search=q,
        created_after=created_after,
        created_before=created_before,
        finished_after=finished_after,
        finished_before=finished_before,
    )
    try:
        page = await listing.list_page(
            session, caller, filters, sort=sort, cursor=cursor, limit=limit, count=True
        )
        problem = None
    except NotFoundError as error:
        page, problem = RunPage(items=[], next_cursor=None), error.message
    return render(
        request,
        "runs.html",
        status=200 if problem is None else 404,
        problem=problem,
        runs=run_views.rows(page.items),
        count=run_views.count(page.count),
        filters=run_filters.filters(request.query_params.multi_items()),
        next_cursor=page.next_cursor,
        limit=limit,
        sort=sort,
        statuses=get_args(RunStatus),
    )
