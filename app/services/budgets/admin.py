"""Management of budgets by admins: create, read, change, close, with an audit log."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from app.db import Session
from app.repositories.budgets import budgets as budget_rows
from app.schemas.audit import AuditAction
from app.schemas.budgets import (
    AlertRead,
    BudgetAlertPage,
    BudgetAlertRead,
    BudgetChange,
    BudgetCreate,
    BudgetPage,
    BudgetRead,
)
from app.schemas.common import FieldProblem
from app.services import access, cursors
from app.services.access import BudgetNotFoundError
from app.services.budgets import scopes
from app.services.budgets.standing import BEGINNING, BudgetState, states, unit_of
from app.services.errors import ConflictError, InvalidError, PricetagError
from app.services.people import audit
from app.services.principals import Principal
from app.services.similarity import did_you_mean, similar
from models import Budget, BudgetAlert
from pricetag.accounting.budgets.decision import crossed

RECORDED = (
    *("name", "scope", "scope_id", "metric", "currency", "amount", "period", "time_zone"),
    *("thresholds", "refuses", "stops", "closed_at"),
)


class BudgetExistsError(ConflictError):
    """A budget with this name exists, perhaps a closed one."""

    code = "budget-exists"


class BudgetClosedError(ConflictError):
    """A closed budget cannot change."""

    code = "budget-closed"


class InvalidBudgetError(InvalidError):
    """Several fields of a budget are invalid.

    Attributes:
        errors: The error of each field.
    """

    code = "invalid-budget"

    def __init__(self, errors: Sequence[PricetagError]) -> None:
        super().__init__(" ".join(error.message for error in errors), field=errors[0].field)
        self.errors = [FieldProblem(field=each.field, message=each.message) for each in errors]


async def obstacles(
    session: Session,
    principal: Principal,
    name: str | None,
    *,
    of: uuid.UUID | None = None,
    **scope: Any,
) -> list[PricetagError]:
    """All conflicts of a budget with stored objects, so that a form can show them together.

    Args:
        session: Database session, only read.
        principal: The caller, an admin.
        name: Name of the budget; None if it is not known.
        of: ID of the budget that will have the name; None for a new one.
        **scope: Those of `scopes.SCOPE_FIELDS` that are known.
    """
    errors: list[PricetagError] = []
    if name is not None and name in await budget_rows.names(session, principal.viewer):
        own = None if of is None else await budget_rows.get(session, of)
        if own is None or own.name != name:
            errors.append(_exists(name))
    error = await scopes.unknown(session, principal, **scope)
    return errors if error is None else [*errors, error]


async def create(session: Session, principal: Principal, request: BudgetCreate) -> BudgetRead:
    """Creates a budget; it also applies to running and queued runs.

    A project or experiment that does not exist yet is created on request.

    Raises:
        RoleRequiredError: If the caller is not an admin.
        UnknownScopeError: If there is no such project or experiment.
        UnknownUserError: If there is no such user.
        BudgetExistsError: If a budget with this name exists.
        InvalidBudgetError: If several of these errors occur.
    """
    principal.require("admin", "create budgets")
    of_scope = request.model_dump(include=set(scopes.SCOPE_FIELDS))
    errors = await obstacles(session, principal, request.name, **of_scope)
    if errors:
        raise errors[0] if len(errors) == 1 else InvalidBudgetError(errors)
    values = request.model_dump(exclude={"project", "experiment", "user", "create_missing"})
    scope_id = await scopes.id_of(session, principal, request)
    budget = Budget(id=uuid.uuid4(), **values, scope_id=scope_id)
    if not await budget_rows.add(session, budget):
        raise _exists(request.name)
    stored = await _get(session, budget.id)
    await _record(session, principal, "created", stored, None)
    return await _shown(session, stored)


def _exists(name: str) -> BudgetExistsError:
    return BudgetExistsError(
        f"A budget '{name}' already exists, perhaps a closed one; use another name.",
        field="name",
    )


async def _get(session: Session, budget_id: uuid.UUID, *, lock: bool = False) -> Budget:
    budget = await budget_rows.get(session, budget_id, lock=lock)
    if budget is None:
        raise BudgetNotFoundError(
            f"Budget {budget_id} not found: it does not exist or is hidden from you.",
            field="budget_id",
        )
    return budget


async def _record(
    session: Session,
    principal: Principal,
    action: AuditAction,
    budget: Budget,
    before: dict[str, Any] | None,
) -> None:
    await audit.record(
        session,
        principal,
        action=action,
        object_kind="budget",
        object_id=budget.id,
        before=before,
        after=_values(budget),
    )


def _values(budget: Budget) -> dict[str, Any]:
    return {name: getattr(budget, name) for name in RECORDED}


async def change(
    session: Session, principal: Principal, budget_id: uuid.UUID, request: BudgetChange
) -> BudgetRead:
    """Changes a budget; runs that await admission see it either before or after the change.

    Thresholds that are no longer reached warn again once they are reached.

    Raises:
        RoleRequiredError: If the caller is not an admin.
        BudgetNotFoundError: If there is no such budget.
        BudgetClosedError: If it is closed.
        BudgetExistsError: If another budget has the new name.
    """
    principal.require("admin", "change budgets")
    budget = await _get(session, budget_id, lock=True)
    if budget.closed_at is not None:
        raise BudgetClosedError(f"The budget '{budget.name}' is closed; create another one.")
    before, changes = _values(budget), request.given()
    name = changes.get("name", budget.name)
    if name != budget.name and not await budget_rows.rename(session, budget, name):
        raise _exists(name)
    for field, value in changes.items():
        setattr(budget, field, value)
    if _values(budget) != before:
        await _record(session, principal, "changed", budget, before)
    return await _shown(session, budget)


async def close(session: Session, principal: Principal, budget_id: uuid.UUID) -> BudgetRead:
    """Closes a budget; closing it again changes nothing.

    Raises:
        RoleRequiredError: If the caller is not an admin.
        BudgetNotFoundError: If there is no such budget.
    """
    principal.require("admin", "close budgets")
    budget = await _get(session, budget_id, lock=True)
    if budget.closed_at is None:
        before = _values(budget)
        budget.closed_at = datetime.now(UTC)
        await _record(session, principal, "closed", budget, before)
    return await _shown(session, budget)


async def visible(session: Session, principal: Principal, budget_id: uuid.UUID) -> Budget:
    """A budget that the principal may see.

    Raises:
        BudgetNotFoundError: If there is no such budget that the principal may see.
    """
    await access.require_budget(session, principal, budget_id)
    return await _get(session, budget_id)


async def read(session: Session, principal: Principal, budget_id: uuid.UUID) -> BudgetRead:
    """A budget with its present state.

    Raises:
        BudgetNotFoundError: If there is no such budget that the principal may see.
    """
    await access.require_budget(session, principal, budget_id)
    return await _present(session, budget_id)


async def _present(session: Session, budget_id: uuid.UUID) -> BudgetRead:
    (budget,) = await reads(session, [await _get(session, budget_id)])
    return budget


async def list_page(
    session: Session,
    principal: Principal,
    *,
    name: str | None,
    closed: bool,
    cursor: str | None,
    limit: int,
) -> BudgetPage:
    """A page of budgets by name.

    Raises:
        CursorError: If the cursor does not belong to this list.
        BudgetNotFoundError: If no visible budget has the name; a closed one does exist.
    """
    after = str(cursors.decode(cursor, str)[0]) if cursor else None
    rows = await budget_rows.page(
        session, principal.viewer, name=name, closed=closed, after=after, limit=limit + 1
    )
    if name is not None and cursor is None and not rows:
        await _require_name(session, principal, name)
    shown, following = cursors.page(rows, limit, lambda budget: (budget.name,))
    return BudgetPage(items=await reads(session, shown), next_cursor=following)


async def _require_name(session: Session, principal: Principal, name: str) -> None:
    names = await budget_rows.names(session, principal.viewer)
    if name not in names:
        raise BudgetNotFoundError(
            f"Budget '{name}' not found: it does not exist or is hidden from you"
            + did_you_mean(similar(name, names)),
            field="name",
        )


async def _shown(session: Session, budget: Budget) -> BudgetRead:
    """A budget after a change, with its alerts updated."""
    await session.flush()
    now = datetime.now(UTC)
    (state,) = await states(session, [budget], now)
    reached = crossed(budget.thresholds, state.standing)
    await budget_rows.drop_alerts(session, budget.id, state.period_start, keep=reached)
    if budget.closed_at is None:
        await budget_rows.add_alerts(
            session, budget.id, state.period_start, reached, state.standing.used
        )
    return await _present(session, budget.id)


async def reads(session: Session, budgets: Sequence[Budget]) -> list[BudgetRead]:
    """Budgets with their present state."""
    return await reads_of(session, await states(session, budgets, datetime.now(UTC)))


async def reads_of(session: Session, standing: Sequence[BudgetState]) -> list[BudgetRead]:
    """Budgets whose state was already read."""
    names = await budget_rows.names_of_scopes(session, [state.budget for state in standing])
    alerts: dict[uuid.UUID, list[BudgetAlert]] = defaultdict(list)
    for alert in await budget_rows.alerts_in(
        session, [(state.budget.id, state.period_start) for state in standing]
    ):
        alerts[alert.budget_id].append(alert)
    return [
        _read(state, names.get(state.budget.scope_id), alerts[state.budget.id])
        for state in standing
    ]


def _read(state: BudgetState, named: Any, alerts: Sequence[BudgetAlert]) -> BudgetRead:
    budget, standing = state.budget, state.standing
    project = named if budget.scope == "project" else None
    experiment = None
    if budget.scope == "experiment":
        project, experiment = named
    is_user = budget.scope == "user"
    return BudgetRead.model_validate(
        {
            **{name: getattr(budget, name) for name in ("id", "name", "scope", "metric")},
            "project": project,
            "experiment": experiment,
            "user": named if is_user else None,
            "user_id": budget.scope_id if is_user else None,
            "unit": unit_of(budget),
            **{
                name: float(getattr(standing, name))
                for name in ("limit", "spent", "running", "reserved", "left")
            },
            "used_ratio": standing.used_ratio,
            "by_source": {source: float(used) for source, used in state.by_source.items()},
            "unknown_runs": state.unknown_runs,
            "running_attempts": len(state.running),
            "period": budget.period,
            "time_zone": budget.time_zone,
            "period_start": state.span.start,
            "period_end": state.span.end,
            "thresholds": budget.thresholds,
            "alerts": [_alert(alert) for alert in alerts],
            **{name: getattr(budget, name) for name in ("refuses", "stops")},
            "created_at": budget.created_at,
            "closed_at": budget.closed_at,
        }
    )


def _alert(alert: BudgetAlert) -> AlertRead:
    return AlertRead(
        threshold_ratio=alert.threshold_ratio, used=float(alert.used), at=alert.created_at
    )


async def list_alerts(
    session: Session,
    principal: Principal,
    budget_id: uuid.UUID | None,
    cursor: str | None,
    limit: int,
) -> BudgetAlertPage:
    """A page of crossed thresholds, newest first.

    Raises:
        CursorError: If the cursor does not belong to this list.
        BudgetNotFoundError: If there is no such budget that the principal may see.
    """
    if budget_id is not None:
        await access.require_budget(session, principal, budget_id)
    rows = await budget_rows.alert_page(
        session,
        principal.viewer,
        budget_id=budget_id,
        after=_alert_position(cursor),
        limit=limit + 1,
    )
    shown, following = cursors.page(rows, limit, lambda row: _alert_place(row[0]))
    items = [_alert_of(alert, budget) for alert, budget in shown]
    return BudgetAlertPage(items=items, next_cursor=following)


def _alert_of(alert: BudgetAlert, budget: Budget) -> BudgetAlertRead:
    start = alert.period_start
    return BudgetAlertRead.model_validate(
        {
            **_alert(alert).model_dump(),
            "budget_id": budget.id,
            "budget": budget.name,
            "metric": budget.metric,
            "unit": unit_of(budget),
            "period": budget.period,
            "time_zone": budget.time_zone,
            "period_start": None if start == BEGINNING else start,
        }
    )


def _alert_place(alert: BudgetAlert) -> tuple[str, str, str]:
    return alert.created_at.isoformat(), str(alert.budget_id), repr(alert.threshold_ratio)


def _alert_position(cursor: str | None) -> tuple[datetime, uuid.UUID, float] | None:
    if cursor is None:
        return None
    at, budget_id, ratio = map(str, cursors.decode(cursor, str, str, str))
    cursors.check_time(at)
    try:
        return datetime.fromisoformat(at), cursors.parse_id(budget_id), float(ratio)
    except ValueError as error:  # 'infinity' is only valid in other lists
        raise cursors.invalid("cursor") from error
