"""Live data besides power: open runs, the queue and budgets, read for all readers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from app.db import Session
from app.repositories.budgets import budgets as budget_rows
from app.repositories.runs import live as live_rows
from app.schemas.stream import LiveBudget, LiveRun
from app.services.budgets.standing import BudgetState, states, unit_of
from app.services.live.access import Audience

SHOWN_PROGRESS = ("attempt", "stage", "kind", "name", "done", "total", "unit", "power_w", "at")


@dataclass(frozen=True, slots=True)
class OwnedRun:
    """A run with its project, which decides who sees it."""

    project_id: UUID
    run: LiveRun


async def runs(session: Session, run_ids: Collection[UUID] | None) -> list[OwnedRun]:
    """Some runs, or all that are running."""
    return [OwnedRun(row.project_id, _run(row)) for row in await live_rows.runs(session, run_ids)]


def _run(row: Any) -> LiveRun:
    progress = row.progress or {}
    return LiveRun(
        id=row.id,
        name=row.name,
        project=row.project,
        experiment=row.experiment,
        user=row.user,
        status=row.status,
        status_reason=row.status_reason,
        pool=row.pool,
        gpus=row.gpus,
        node=row.node_name,
        components=[str(each["id"]) for each in row.components or ()],
        reserved_ratios=[float(each.get("reserved_ratio", 1)) for each in row.components or ()],
        progress={name: progress[name] for name in SHOWN_PROGRESS if name in progress} or None,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


@dataclass(frozen=True, slots=True)
class OwnedBudget:
    """A budget with its project; None for a budget of the lab or of a user."""

    project_id: UUID | None
    budget: LiveBudget


async def budgets(session: Session) -> list[OwnedBudget]:
    """All open budgets, by name."""
    opened = await budget_rows.all_open(session)
    projects = await live_rows.projects_of_experiments(
        session, [each.scope_id for each in opened if each.scope == "experiment" and each.scope_id]
    )
    current = await states(session, opened, datetime.now(UTC))
    owned = [OwnedBudget(_project(state, projects), _budget(state)) for state in current]
    return sorted(owned, key=lambda each: each.budget.name)


def _project(state: BudgetState, projects: Mapping[UUID, UUID]) -> UUID | None:
    budget = state.budget
    if budget.scope == "experiment" and budget.scope_id is not None:
        return projects.get(budget.scope_id)
    return budget.scope_id if budget.scope == "project" else None


def _budget(state: BudgetState) -> LiveBudget:
    budget, standing = state.budget, state.standing
    return LiveBudget(
        id=budget.id,
        name=budget.name,
        scope=budget.scope,
        metric=budget.metric,
        unit=unit_of(budget),
        limit=float(standing.limit),
        spent=float(standing.spent),
        running=float(standing.running),
        reserved=float(standing.reserved),
        left=float(standing.left),
        unknown_runs=state.unknown_runs,
        period_end=state.span.end,
    )


def seen_budgets(owned: Sequence[OwnedBudget], audience: Audience) -> list[LiveBudget]:
    """The budgets that an audience sees: all but those of hidden projects."""
    return [
        each.budget
        for each in owned
        if each.budget.scope in ("lab", "user") or audience.sees(each.project_id)
    ]
