"""Pages of a project and of a user: what their runs used, their budgets, their newest runs."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any

from fastapi import Path, Query, Request, Response

from app.api.access import READ, SEE_PROJECT
from app.api.deps import Caller, CurrentSession, ServerResources
from app.db import Session
from app.schemas.burn_down import BudgetOutlookItem
from app.schemas.common import PathName
from app.services import charts, projects
from app.services.budgets import outlook
from app.services.energy import work
from app.services.errors import InvalidError
from app.services.principals import Principal
from app.services.runs import listing
from app.web.forms import Filled
from app.web.rendering import page_router, render, section
from app.web.views import budgets as budget_views
from app.web.views import periods
from app.web.views import runs as run_views
from app.web.views import work as work_views
from app.web.views.charts import ChartView, chart_view
from app.web.views.periods import InvalidPeriodError, Named, Period
from app.web.views.work import WorkView

router = page_router()
OF_RUNS = section("show_runs")
NEWEST = 10
Chosen = Annotated[Filled[Named], Query()]
From = Annotated[Filled[date], Query(alias="from")]
To = Annotated[Filled[date], Query(alias="to")]


@router.get("/projects/{project}", dependencies=[SEE_PROJECT], openapi_extra=OF_RUNS)
async def show_project(
    request: Request,
    session: CurrentSession,
    resources: ServerResources,
    caller: Caller,
    project: Annotated[PathName, Path(description="Name of the project.")],
    period: Chosen = None,
    first: From = None,
    last: To = None,
) -> Response:
    """What a project used, its budgets and its newest runs."""
    chosen = _period(period, first, last)
    read = await projects.read(session, project, caller)
    account = await work.of_project(
        session,
        caller,
        project,
        start=chosen.start,
        stop=chosen.stop,
        currency=resources.settings.currency,
    )
    view = work_views.work(account, frozenset({read.name}))
    shown = await _around(session, caller, listing.RunFilter(project=project), "project", read.name)
    return render(
        request,
        "work.html",
        kind="project",
        name=read.name,
        description=read.description,
        facts=work_views.facts(read),
        period=chosen,
        work=view,
        chart=await _kept(session, view),
        **shown,
    )


@router.get("/users/{user}", dependencies=[READ], openapi_extra=OF_RUNS)
async def show_user(
    request: Request,
    session: CurrentSession,
    resources: ServerResources,
    caller: Caller,
    user: Annotated[PathName, Path(description="Name or ID of the user.")],
    period: Chosen = None,
    first: From = None,
    last: To = None,
) -> Response:
    """What a user's runs used, in the projects that the visitor may see."""
    chosen = _period(period, first, last)
    account = await work.of_user(
        session,
        caller,
        user,
        start=chosen.start,
        stop=chosen.stop,
        currency=resources.settings.currency,
    )
    view = work_views.work(account, await work.charged_projects(session, caller, account.name))
    shown = await _around(
        session, caller, listing.RunFilter(user=account.name), "user", account.name
    )
    return render(
        request,
        "work.html",
        kind="user",
        name=account.name,
        description="",
        facts=[],
        period=chosen,
        work=view,
        chart=await _kept(session, view),
        **shown,
    )


async def _kept(session: Session, view: WorkView) -> ChartView | None:
    await charts.keep(session, [view.chart] if view.chart else [])
    return chart_view(view.chart) if view.chart else None


def _period(period: Named | None, first: date | None, last: date | None) -> Period:
    try:
        return periods.period(period, first, last, datetime.now(UTC), "30d")
    except InvalidPeriodError as error:
        raise InvalidError(str(error), field="from") from error


async def _around(
    session: Session, caller: Principal, selected: listing.RunFilter, scope: str, name: str
) -> dict[str, Any]:
    """Budgets and newest runs."""
    newest = await listing.list_page(
        session, caller, selected, sort="-created_at", cursor=None, limit=NEWEST
    )
    items = (await outlook.read(session, caller)).items
    own = [item for item in items if _is_about(item, scope, name)]
    return {
        "budgets": budget_views.outlook(own),
        "newest": run_views.rows(newest.items),
        "runs_query": {scope: name},
    }


def _is_about(item: BudgetOutlookItem, scope: str, name: str) -> bool:
    return bool(getattr(item.budget, scope) == name)
