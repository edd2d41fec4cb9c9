"""Budgets: set by administrators, visible to everybody."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Annotated

from fastapi import Path, Query

from app.api.access import BUDGETS, READ, SEE_BUDGET
from app.api.body import validated
from app.api.branches import Branch
from app.api.deps import Body, Caller, CurrentSession, Cursor, Limit
from app.api.openapi import request_body
from app.api.v1.examples import BUDGET, BUDGET_CHANGE, PIPELINE_RUN
from app.api.v1.responses import BODY, problems
from app.schemas.budgets import BudgetAlertPage, BudgetChange, BudgetCreate, BudgetPage, BudgetRead
from app.schemas.burn_down import (
    BudgetOutlook,
    BurnDownRead,
    WhatIfCreate,
    WhatIfRead,
    WhatIfRuns,
)
from app.schemas.common import StoredName
from app.services.budgets import admin as budget_admin
from app.services.outlook import burn_down, outlook, what_if

router = Branch(tags=["budgets"])

BudgetId = Annotated[uuid.UUID, Path(description="ID of the budget.")]


@router.post(
    "/budgets",
    status_code=201,
    dependencies=[BUDGETS],
    summary="Create a budget",
    responses=problems(403, 409, *BODY),
    openapi_extra=request_body(
        BudgetCreate, {"a project's month": BUDGET}, "Scope, metric, amount and period."
    ),
)
async def create_budget(session: CurrentSession, caller: Caller, body: Body) -> BudgetRead:
    """Applies at once, also to running and queued runs. Requires the role admin."""
    return await budget_admin.create(session, caller, validated(BudgetCreate, body))


@router.get(
    "/budgets",
    dependencies=[READ],
    summary="List budgets",
    responses=problems(404),
)
async def list_budgets(
    session: CurrentSession,
    caller: Caller,
    name: Annotated[StoredName | None, Query(description="Only the budget with this name.")] = None,
    closed: Annotated[bool, Query(description="Include closed budgets.")] = False,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> BudgetPage:
    """Lists budgets by name, each with its state in the current period.

    A name that no visible budget has is a 404, with similar names.
    """
    return await budget_admin.list_page(
        session, caller, name=name, closed=closed, cursor=cursor, limit=limit
    )


@router.get(
    "/budgets/{budget_id}",
    dependencies=[SEE_BUDGET],
    summary="Show a budget",
    responses=problems(404),
)
async def get_budget(session: CurrentSession, caller: Caller, budget_id: BudgetId) -> BudgetRead:
    """Amounts spent, in use by running jobs, reserved and left, with the alerts of the period."""
    return await budget_admin.read(session, caller, budget_id)


@router.get(
    "/budgets/{budget_id}/burn-down",
    dependencies=[SEE_BUDGET],
    summary="Show the burn-down of a budget",
    responses=problems(404),
)
async def get_budget_burn_down(
    session: CurrentSession, caller: Caller, budget_id: BudgetId
) -> BurnDownRead:
    """Shows past use by day, the expected use of the open runs over time, when they
    reach the limit, and who spent how much. Each open run is assumed to use the rest of its
    projection, or of its quote, evenly between its expected start and end.
    """
    return await burn_down.read(session, caller, budget_id)


@router.post(
    "/budgets/{budget_id}/what-if",
    dependencies=[SEE_BUDGET],
    summary="Show a budget without some open runs, or with one more",
    responses=problems(404, *BODY),
    openapi_extra=request_body(
        WhatIfCreate, {"one more run": {"run": PIPELINE_RUN}}, "Runs to skip, and one to add."
    ),
)
async def ask_budget_what_if(
    session: CurrentSession, caller: Caller, budget_id: BudgetId, body: Body
) -> WhatIfRead:
    """Shows the burn-down without some open runs, or as if a run were posted now, with the quote
    of that run. Nothing is changed or reserved.
    """
    fields = dict(body) if isinstance(body, Mapping) else body
    run = fields.pop("run", None) if isinstance(fields, dict) else None
    without = validated(WhatIfRuns, fields).without
    return await what_if.read(session, caller, budget_id, without=without, run=run)


@router.get(
    "/budget-outlook",
    dependencies=[READ],
    summary="List open budgets in the order in which they are used up",
    responses=problems(),
)
async def get_budget_outlook(session: CurrentSession, caller: Caller) -> BudgetOutlook:
    """Lists each open budget with its state, the expected use of its open runs, and when they
    reach its limit.
    """
    return await outlook.read(session, caller)


@router.patch(
    "/budgets/{budget_id}",
    dependencies=[BUDGETS],
    summary="Change a budget",
    responses=problems(403, 404, 409, *BODY),
    openapi_extra=request_body(BudgetChange, {"raise it": BUDGET_CHANGE}, "The fields to change."),
)
async def change_budget(
    session: CurrentSession, caller: Caller, budget_id: BudgetId, body: Body
) -> BudgetRead:
    """Changes name, amount, thresholds, `refuses` or `stops`. Requires the role admin."""
    return await budget_admin.change(session, caller, budget_id, validated(BudgetChange, body))


@router.post(
    "/budgets/{budget_id}/close",
    dependencies=[BUDGETS],
    summary="Close a budget",
    responses=problems(403, 404),
)
async def close_budget(session: CurrentSession, caller: Caller, budget_id: BudgetId) -> BudgetRead:
    """A closed budget no longer limits anything, but can still be read. Requires the role admin."""
    return await budget_admin.close(session, caller, budget_id)


@router.get(
    "/budget-alerts",
    dependencies=[READ],
    summary="List crossed thresholds",
    responses=problems(404),
)
async def list_budget_alerts(
    session: CurrentSession,
    caller: Caller,
    budget_id: Annotated[uuid.UUID | None, Query(description="Only alerts of this budget.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> BudgetAlertPage:
    """Lists each crossed threshold once per period, newest first."""
    return await budget_admin.list_alerts(session, caller, budget_id, cursor, limit)
