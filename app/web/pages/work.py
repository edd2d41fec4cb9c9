"""Pages of a project and of a user: what their runs used, their budgets, their newest runs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Request, Response

from app.api.access import READ, SEE_PROJECT
from app.api.deps import Caller, CurrentSession, ServerResources
from app.db import Session
from app.schemas.common import PathName
from app.services import projects, users
from app.services.budgets import outlook
from app.services.energy import work
from app.services.principals import Principal
from app.services.runs import listing
from app.web.drawn import drawn
from app.web.parameters import ChosenPeriod
from app.web.rendering import page_router, render, section
from app.web.views import budgets as budget_views
from app.web.views import runs as run_views
from app.web.views import work as work_views

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
    chosen: ChosenPeriod,
) -> Response:
    """What a project used, its budgets and its newest runs."""
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
    selected = listing.RunFilter(project=project)
    shown = await _around(session, caller, selected, ("project", read.id), read.name)
    return render(
        request,
        "work.html",
        kind="project",
        name=read.name,
        description=read.description,
        facts=work_views.facts(read),
        period=chosen,
        work=view,
        chart=await drawn(session, view.chart),
        **shown,
    )


@router.get("/users/{user}", dependencies=[READ], openapi_extra=OF_RUNS)
async def show_user(
    request: Request,
    session: CurrentSession,
    resources: ServerResources,
    caller: Caller,
    user: Annotated[PathName, Path(description="Name or ID of the user.")],
    chosen: ChosenPeriod,
) -> Response:
    """What a user's runs used, in the projects that the visitor may see."""
    account = await work.of_user(
        session,
        caller,
        user,
        start=chosen.start,
        stop=chosen.stop,
        currency=resources.settings.currency,
    )
    view = work_views.work(account, await work.charged_projects(session, caller, account.name))
    selected = listing.RunFilter(user=account.name)
    owner = await users.find(session, account.name)
    shown = await _around(session, caller, selected, ("user", owner.id), account.name)
    return render(
        request,
        "work.html",
        kind="user",
        name=account.name,
        description="",
        facts=[],
        period=chosen,
        work=view,
        chart=await drawn(session, view.chart),
        **shown,
    )


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
