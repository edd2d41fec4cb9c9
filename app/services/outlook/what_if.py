"""The burn-down of a budget without some open runs, or with one more."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from app.db import Session
from app.repositories.people import projects
from app.schemas.burn_down import WhatIfRead
from app.schemas.quotes import RunQuoteRead
from app.services import access
from app.services.budgets import admin
from app.services.budgets.standing import states
from app.services.carbon import green_start
from app.services.outlook import burn_down, open_runs
from app.services.outlook.open_runs import expected_amount
from app.services.principals import Principal
from app.services.queueing.pool_queue import Unposted
from app.services.runs import quotes
from models import Budget
from pricetag.accounting.budgets.decision import Admission, decide
from pricetag.recipes import RunSpec, derive_kind


async def read(
    session: Session, by: Principal, budget_id: UUID, *, without: Collection[UUID], run: object
) -> WhatIfRead:
    """A budget after a change of its open runs; nothing is changed or reserved.

    Args:
        session: Database session, only read.
        by: The caller, who would post the run.
        budget_id: The budget.
        without: Open runs to skip; those hidden from the caller are not skipped.
        run: Description of a run to add; None for none.

    Raises:
        BudgetNotFoundError: If there is no such budget that the principal may see.
        InvalidRunError: If the description is invalid; field paths begin with ``run``.
    """
    budget = await admin.visible(session, by, budget_id)
    without = await access.visible_runs(session, by, without)
    unposted, quoted = None, None
    if run is not None:
        spec, quoted = await quotes.quote_description(session, by, run)
        unposted = await _unposted(session, by, spec, quoted)
    opened = await open_runs.read(session, unposted)
    is_charged = None if unposted is None else opened.is_under(budget, unposted.id)
    added = [] if unposted is None else [unposted.id]
    before = await burn_down.of(session, by, budget, opened, without=added)
    after = await burn_down.of(
        session,
        by,
        budget,
        opened,
        without=without,
        unposted=None if unposted is None else unposted.id,
    )
    return WhatIfRead(
        burn_down=after,
        before=before.expected,
        before_crossing=before.crossing,
        quote=quoted,
        is_charged=is_charged,
        admission=await _admission(session, budget, quoted) if is_charged and quoted else None,
    )


async def _unposted(
    session: Session, by: Principal, spec: RunSpec, quoted: RunQuoteRead
) -> Unposted:
    project = await projects.by_name(session, spec.project)
    project_id = None if project is None else project.id
    experiment_id = None
    if project_id is not None:
        experiment_id = await projects.experiment_id(session, project_id, spec.experiment)
    return Unposted(
        id=uuid.uuid4(),
        name=spec.name,
        pool=spec.resources.pool,
        kind=derive_kind(spec.recipe),
        gpus=spec.resources.gpus,
        priority=spec.priority,
        project=spec.project,
        experiment=spec.experiment,
        user=by.name,
        project_id=project_id,
        experiment_id=experiment_id,
        user_id=by.user_id,
        quantities=quoted.quantities.model_dump(),
        created_at=datetime.now(UTC),
        not_before=green_start.earliest(spec, quoted.green_start),
    )


async def _admission(session: Session, budget: Budget, quoted: RunQuoteRead) -> Admission:
    (state,) = await states(session, [budget], datetime.now(UTC))
    expected = expected_amount(budget, quoted.quantities.model_dump())
    amount = None if expected is None else Decimal(str(expected.value))
    return decide(state.standing, amount)
