"""Budgets: the list in the order in which they are used up, and each one's burn-down."""

from __future__ import annotations

import uuid
from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Path, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from app.api.access import BUDGETS, READ, SEE_BUDGET
from app.api.deps import FOREIGN_QUERY, Caller, CurrentSession
from app.charts.steady import SteadyCharts
from app.db import Session
from app.schemas.budgets import BudgetChange, BudgetCreate, BudgetRead
from app.schemas.burn_down import BurnDownRead, WhatIfRead
from app.services.budgets import admin
from app.services.budgets.scopes import SCOPE_FIELDS, UnknownScopeError
from app.services.errors import PricetagError
from app.services.outlook import burn_down, outlook, what_if
from app.services.principals import Principal
from app.web.asked import Asked, PageQuery, asking
from app.web.drawn import drawn
from app.web.forms import Form
from app.web.links import rel
from app.web.rendering import page_router, render, section
from app.web.views import budget_form
from app.web.views import budgets as budget_views
from app.web.views import burn_down as burn_down_views
from app.web.views.budget_form import BudgetForm, FieldError
from pricetag.recipes.yaml_text import YamlError, parse_yaml

router = page_router()
BudgetId = Annotated[uuid.UUID, Path(description="ID of the budget.")]
OF_BUDGETS = section("show_budgets")
LONGEST_RECIPE = 20_000
_CHARTS = SteadyCharts()


class ChangeQuery(PageQuery):
    """A change of the open runs whose effect a budget's page shows."""

    without: list[str] = Field([], max_length=200, title="Without these runs")
    run: str = Field("", max_length=LONGEST_RECIPE, title="If this run was submitted")


AskedChange = Annotated[Asked[ChangeQuery], Depends(asking(ChangeQuery))]


@router.get("/budgets", dependencies=[READ])
async def show_budgets(
    request: Request, session: CurrentSession, caller: Caller, closed: bool = False
) -> Response:
    """The open budgets, in the order in which they are used up."""
    read = await outlook.read(session, caller)
    ended = []
    if closed:
        page = await admin.list_page(
            session, caller, name=None, closed=True, cursor=None, limit=200
        )
        ended = budget_views.closed_rows(page.items)
    return render(
        request,
        "budgets.html",
        rows=budget_views.outlook(read.items),
        at=read.at,
        closed=ended,
        shows_closed=closed,
    )


@router.get("/budgets/new", dependencies=[BUDGETS], openapi_extra={**OF_BUDGETS, **FOREIGN_QUERY})
async def show_new_budget(request: Request) -> Response:
    """The form of a new budget; its fields can be filled by the address."""
    values = {**budget_form.NEW, **dict(request.query_params)}
    return render(request, "budget_form.html", form=BudgetForm(values), budget=None)


@router.post("/budgets/new", dependencies=[BUDGETS], openapi_extra=OF_BUDGETS)
async def create_budget(
    request: Request, session: CurrentSession, caller: Caller, fields: Form
) -> Response:
    """Creates a budget, or shows the errors of the form."""
    body = budget_form.create_body(fields)
    wanted, faults = budget_form.checked(BudgetCreate, body)
    values = budget_form.valid(body, faults)
    of_scope = {name: values[name] for name in SCOPE_FIELDS if name in values}
    errors = await admin.obstacles(session, caller, values.get("name"), **of_scope)
    if wanted is None or errors:
        return _again(request, fields, faults, errors, None)
    try:
        async with session.begin_nested():
            budget = await admin.create(session, caller, wanted)
    except PricetagError as error:  # another one was created with the same name
        return _again(request, fields, [], [error], None)
    return RedirectResponse(rel(request, "show_budget", budget_id=budget.id), 303)


@router.get("/budgets/{budget_id}", dependencies=[SEE_BUDGET], openapi_extra=OF_BUDGETS)
async def show_budget(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    budget_id: BudgetId,
    change: AskedChange,
) -> Response:
    """A budget's burn-down, and its state after a change of the open runs."""
    read = await admin.read(session, caller, budget_id)
    burn = await burn_down.read(session, caller, budget_id)
    run, asked = change.form.get("run"), None
    skipped, invalid = budget_form.run_ids(change.query.without)
    problems = [text for _, text in change.wrong(invalid).form.lines]
    if not problems:
        asked, problems = await _what_if(session, caller, read, skipped, run)
    view = burn_down_views.burn_down(read, burn, skipped)
    chart = _CHARTS.of(budget_id, _state(burn), view.chart, burn.at)
    return render(
        request,
        "budget.html",
        status=422 if problems else 200,
        page=view,
        chart=await drawn(session, chart),
        what_if=None if asked is None else burn_down_views.what_if(read, asked),
        problems=problems,
        run=run,
        now=datetime.now(UTC),
    )


def _state(burn: BurnDownRead) -> Hashable:
    """The parts of a burn-down that only events change, not the passage of time."""
    expected = burn.expected
    return (
        burn.name,
        burn.limit,
        burn.spent,
        burn.period_start,
        expected.open_runs,
        expected.unknown_runs,
    )


async def _what_if(
    session: Session, caller: Principal, read: BudgetRead, without: frozenset[uuid.UUID], run: str
) -> tuple[WhatIfRead | None, list[str]]:
    """The budget after a change, or the errors of the change."""
    if not without and not run.strip():
        return None, []
    try:
        described = _described(run) if run.strip() else None
        asked = await what_if.read(session, caller, read.id, without=without, run=described)
    except YamlError as error:
        return None, [f"The description is not YAML or JSON: {error}."]
    except PricetagError as error:
        several = [
            f"{each.field}: {each.message}" if each.field else each.message
            for each in getattr(error, "errors", ())
        ]
        return None, several or [error.message]
    return asked, []


def _described(text: str) -> object:
    described = parse_yaml(text)
    return described["run"] if isinstance(described, Mapping) and "run" in described else described


@router.get("/budgets/{budget_id}/edit", dependencies=[BUDGETS], openapi_extra=OF_BUDGETS)
async def edit_budget(
    request: Request, session: CurrentSession, caller: Caller, budget_id: BudgetId
) -> Response:
    """The form to change a budget."""
    read = await admin.read(session, caller, budget_id)
    return render(request, "budget_form.html", form=budget_form.of_budget(read), budget=read)


@router.post("/budgets/{budget_id}/edit", dependencies=[BUDGETS], openapi_extra=OF_BUDGETS)
async def change_budget(
    request: Request, session: CurrentSession, caller: Caller, budget_id: BudgetId, fields: Form
) -> Response:
    """Changes a budget, or shows the errors of the form."""
    read = await admin.read(session, caller, budget_id)
    body = budget_form.change_body(fields)
    wanted, faults = budget_form.checked(BudgetChange, body)
    name = budget_form.valid(body, faults).get("name")
    errors = await admin.obstacles(session, caller, name, of=budget_id)
    if wanted is None or errors:
        return _again(request, fields, faults, errors, read)
    try:
        async with session.begin_nested():
            await admin.change(session, caller, budget_id, wanted)
    except PricetagError as error:
        return _again(request, fields, [], [error], read)
    return RedirectResponse(rel(request, "show_budget", budget_id=budget_id), 303)


@router.post("/budgets/{budget_id}/close", dependencies=[BUDGETS], openapi_extra=OF_BUDGETS)
async def close_budget(
    request: Request, session: CurrentSession, caller: Caller, budget_id: BudgetId
) -> Response:
    """Closes a budget."""
    await admin.close(session, caller, budget_id)
    return RedirectResponse(rel(request, "show_budget", budget_id=budget_id), 303)


def _again(
    request: Request,
    fields: Mapping[str, str],
    faults: Sequence[FieldError],
    errors: Sequence[PricetagError],
    read: BudgetRead | None,
) -> Response:
    """The form with its input and all errors."""
    status = errors[0].status if len(errors) == 1 and not faults else 422
    form = BudgetForm(
        fields,
        [*faults, *budget_form.rejected(errors)],
        is_unknown_scope=any(isinstance(error, UnknownScopeError) for error in errors),
    )
    return render(request, "budget_form.html", status=status, form=form, budget=read)
