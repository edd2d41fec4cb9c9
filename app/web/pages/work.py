"""Pages of a project and of a user: use of their runs, budgets, newest runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Path, Request, Response

from app.api.access import READ, SEE_PROJECT
from app.api.deps import Caller, CurrentSession, ServerResources
from app.db import Session
from app.schemas.common import PathName
from app.services.errors import InvalidError
from app.services.outlook import outlook
from app.services.overview import work
from app.services.people import projects, users
from app.services.principals import Principal
from app.services.runs import listing
from app.web.asked import Asked
from app.web.drawn import drawn
from app.web.parameters import AskedPeriod, PeriodQuery, period_of
from app.web.rendering import page_router, render, section
from app.web.views import budgets as budget_views
from app.web.views import runs as run_views
from app.web.views import work as work_views
from app.web.views.periods import Period
from app.web.views.work import WorkView

router = page_router()
OF_RUNS = section("show_runs")
NEWEST = 10


@router.get("/projects/{project}", dependencies=[SEE_PROJECT], openapi_extra=OF_RUNS)
async def show_project(
    request: Request,
    session: CurrentSession,
    resources: ServerResources,
    caller: Caller,
    project: Annotated[PathName, Path(description="Name of the project.")],
    asked: AskedPeriod,
) -> Response:
    """Use of a project, its budgets and its newest runs."""
    read = await projects.read(session, project, caller)

    async def used(period: Period) -> WorkView:
        account = await work.of_project(
            session,
            caller,
            project,
            start=period.start,
            stop=period.stop,
            currency=resources.settings.currency,
        )
        return work_views.work(account, frozenset({read.name}))

    shown = await _used(session, asked, used)
    selected = listing.RunFilter(project=project)
    around = await _around(session, caller, selected, ("project", read.id), read.name)
    return render(
        request,
        "work.html",
        kind="project",
        name=read.name,
        description=read.description,
        facts=work_views.facts(read),
        **shown,
        **around,
    )


@router.get("/users/{user}", dependencies=[READ], openapi_extra=OF_RUNS)
async def show_user(
    request: Request,
    session: CurrentSession,
    resources: ServerResources,
    caller: Caller,
    user: Annotated[PathName, Path(description="Name or ID of the user.")],
    asked: AskedPeriod,
) -> Response:
    """Use of a user's runs, in the projects that the visitor may see."""
    owner = await users.find(session, user)

    async def used(period: Period) -> WorkView:
        account = await work.of_user(
            session,
            caller,
            user,
            start=period.start,
            stop=period.stop,
            currency=resources.settings.currency,
        )
        return work_views.work(account, await work.charged_projects(session, caller, owner.name))

    shown = await _used(session, asked, used)
    selected = listing.RunFilter(user=owner.name)
    around = await _around(session, caller, selected, ("user", owner.id), owner.name)
    return render(
        request,
        "work.html",
        kind="user",
        name=owner.name,
        description="",
        facts=[],
        **shown,
        **around,
    )


async def _used(
    session: Session,
    asked: Asked[PeriodQuery],
    used: Callable[[Period], Awaitable[WorkView]],
) -> dict[str, Any]:
    """Use of the runs in a period, or the errors of the period."""
    period, asked = period_of(asked)
    view: WorkView | None = None
    try:
        view = None if asked.form.problems else await used(period)
    except InvalidError as error:
        asked = asked.rejected(error)
    return {
        "status": asked.status,
        "form": asked.form,
        "period": period,
        "work": view,
        "chart": await drawn(session, view.chart) if view is not None else None,
    }


async def _around(
    session: Session,
    caller: Principal,
    selected: listing.RunFilter,
    scope: outlook.Scope,
    name: str,
) -> dict[str, Any]:
    """Budgets and newest runs."""
    newest = await listing.list_page(
        session, caller, selected, sort="-created_at", cursor=None, limit=NEWEST
    )
    budgets = await outlook.read(session, caller, of=scope)
    return {
        "budgets": budget_views.outlook(budgets.items),
        "newest": run_views.rows(newest.items),
        "runs_query": {scope[0]: name},
    }
