"""The table of runs: filters, order, columns, groups and pages, all in its address."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse

from app.api.access import READ
from app.api.deps import Caller, CurrentSession
from app.db import Session
from app.schemas.common import RunOrigin, RunStatus
from app.schemas.runs import RunPage
from app.schemas.views import ViewRead
from app.services.access import ProjectNotFoundError
from app.services.errors import InvalidError, NotFoundError
from app.services.principals import Principal
from app.services.runs import grouping, listing
from app.services.saved import views
from app.settings import get_settings
from app.web import run_query
from app.web.links import rel, to
from app.web.rendering import page_router, render
from app.web.run_query import LIMITS, Asked
from app.web.views import run_columns, run_filters, run_groups
from app.web.views import runs as run_views
from app.web.views.run_filters import Filters

router = page_router()
PARTIAL = "HX-Request-Type"
"""Header of requests for a part of the page."""

GROUPED = 200
"""Maximum number of runs that the page groups."""

MORE = (
    *("experiment", "tag", "kind", "origin"),
    *("created_after", "created_before", "finished_after", "finished_before"),
)
"""Filters that are folded away while they are not used."""


@router.get("/runs", dependencies=[READ, Depends(run_query.declared)])
async def show_runs(request: Request, session: CurrentSession, caller: Caller) -> Response:
    """A page of the runs that the filters select, or these runs in groups."""
    asked, standard = await _asked(request, session, caller)
    query = asked.query
    if query.column or query.move:
        columns = ",".join(run_columns.chosen(query.column, query.move))
        parameters = run_filters.filters(asked.values).query(columns=columns)
        return RedirectResponse(rel(request, "show_runs", parameters) + "#columns", 303)
    problems, status, shown = dict(asked.problems), 422 if asked.problems else 200, {}
    if not problems:
        try:
            shown = await _shown(session, caller, asked)
        except (NotFoundError, InvalidError) as error:
            problems[error.field or "view"], status = error.message, error.status
    filters = run_filters.filters(
        asked.values, view=str(query.view) if query.view else None, problems=problems
    )
    page = render(
        request,
        _template(request, asked),
        status=status,
        **_around(request, caller, asked, filters),
        views=await views.list_own(session, caller),
        standard=standard,
        **(NOTHING | shown),
    )
    page.headers["Vary"] = PARTIAL
    return page


NOTHING: dict[str, Any] = {
    "table": None,
    "groups": None,
    "page": None,
    "count": "",
    "fresh": None,
    "fresh_count": "",
    "refresh": None,
}
"""Content of a page whose address has errors."""


def _template(request: Request, asked: Asked) -> str:
    if request.headers.get(PARTIAL) != "partial":
        return "runs.html"
    return "runs_content.html" if asked.query.since is None else "runs_results.html"


def _around(request: Request, caller: Principal, asked: Asked, filters: Filters) -> dict[str, Any]:
    """Content around the runs: the form and the links."""
    query = asked.query
    return {
        "filters": filters,
        "asked": asked,
        "labels": run_filters.WORDS,
        "is_more_open": any(filters.get(name) or name in filters.problems for name in MORE),
        "choices": run_columns.choices(query.shown_columns),
        "limits": [(limit, str(limit)) for limit in sorted({*LIMITS, query.limit})],
        "groupings": [("", "None"), *run_groups.TITLES.items()],
        "orders": list(run_filters.ORDERS.items()),
        "statuses": get_args(RunStatus),
        "origins": get_args(RunOrigin),
        "sorted_in": get_settings().currency if query.sort.endswith("cost") else None,
        "is_by_time": listing.is_by_time(query.sort),
        "can_report": caller.has("member"),
        "csv": to(request, "/v1/runs.csv" + filters.api_query),
    }


async def _asked(
    request: Request, session: Session, caller: Principal
) -> tuple[Asked, ViewRead | None]:
    """The query of the address, with the values of the stored view that it names.

    The runs of a project alone are shown in its default view, which is also returned.
    """
    own = request.query_params.multi_items()
    asked = run_query.read(own)
    if asked.query.view is not None:
        stored = await views.read(session, caller, asked.query.view)
        return run_query.read(views.merged(stored.query, own)), None
    project = asked.query.project
    if project is None or {name for name, _ in asked.values} != {"project"}:
        return asked, None
    try:
        standard = await views.default_of(session, caller, project)
    except ProjectNotFoundError:  # said when its runs are listed
        return asked, None
    if standard is None:
        return asked, None
    return run_query.read(views.merged(standard.query, asked.values)), standard


async def _shown(session: Session, caller: Principal, asked: Asked) -> dict[str, Any]:
    query = asked.query
    filters = query.filter(caller.name)
    if query.by is not None:
        groups = await grouping.group_runs(session, caller, filters, by=query.by, limit=GROUPED)
        return {"groups": run_groups.table(groups), "count": run_groups.count(groups)}
    page = await listing.list_page(
        session,
        caller,
        filters,
        sort=query.sort,
        cursor=query.cursor,
        limit=query.limit,
        start_at=query.start_at,
        count=True,
    )
    fresh = None
    if query.since is not None:
        fresh = await listing.count(session, caller, listing.posted_after(filters, query.since))
    differ = query.differ == "1"
    return {
        "page": page,
        "table": run_views.table(page.items, query.shown_columns, only_differing=differ),
        "count": run_views.count(page.count),
        "fresh": fresh,
        "fresh_count": run_views.count(fresh, "new run"),
        "refresh": _refresh(page, asked),
    }


def _refresh(page: RunPage, asked: Asked) -> dict[str, str] | None:
    """Parameters of the same page with the present figures: it begins with the same run."""
    if not page.items:
        return None
    since = asked.query.since or datetime.now(UTC)
    cursor = listing.cursor_from(page.items[0], asked.query.sort)
    return {"cursor": cursor, "since": since.isoformat(), "limit": str(asked.query.limit)}
