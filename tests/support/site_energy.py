"""What the pages of energy, projects, users, budgets and carbon show on the test site."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from uuid import UUID

from sqlalchemy import select, update

from app.db import Session
from app.schemas.budgets import BudgetCreate
from app.schemas.carbon import CarbonImport
from app.services.budgets import admin as budget_admin
from app.services.energy.node_hours import book_node_hours
from app.services.factors import carbon_series
from app.services.people import users
from app.services.principals import Principal
from models import Budget, Project, Run
from tests.support.energy_hours import GPU, HOUR, node_hour

BUDGET = UUID("6f0c0d0e-0000-4000-8000-00000000000b")
PROJECT = "<img src=x onerror=alert(1)>"
KWH = 3.6e6

ENERGY_PAGES = (
    "/energy",
    "/energy?period=30d&by=project",
    "/energy/emissions?period=30d",
    "/projects/{project}",
    "/users/{user}",
    "/budgets?closed=true",
    "/budgets/new?scope=project",
    "/budgets/{budget}",
    "/budgets/{budget}?run=name%3A%20x",
    "/carbon?period=24h&duration_h=1",
    "/energy?from=soon&to=1999-01-01&by=color&node=nowhere",
    "/users/{user}?period=fortnight",
)
"""Paths as an administrator opens them."""


ENERGY_NAMES = {"budget": str(BUDGET), "project": quote(PROJECT, safe=""), "user": "a%20admin"}
"""Values of the names in the paths."""


async def fill_energy(session: Session, name: str, names: Sequence[str]) -> None:
    """Hours of two nodes, recorded intensities with a gap, and budgets of every state.

    Args:
        session: Committed by the caller.
        name: An administrator who has posted runs.
        names: Names that are hard to show, of projects, nodes and budgets.
    """
    user = await users.named(session, name)
    by = Principal(user.id, None, user.name, "admin")
    rows = await session.scalars(
        select(Run.project_id)
        .join(Project, Project.id == Run.project_id)
        .where(Run.created_by == user.id, Project.name.startswith("project "))
        .order_by(Run.created_at, Run.id)
    )
    projects = list(dict.fromkeys(rows))
    for project_id, new in zip(projects, names, strict=False):
        change = update(Project).where(Project.id == project_id).values(name=new.strip())
        await session.execute(change)
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    for node in names[:2]:
        for number in range(1, 30):
            row = node_hour(GPU, now - number * HOUR, (1 + number % 5) * KWH, 3600.0)
            await book_node_hours(session, node, [row])
    lines = [
        f"{(now - timedelta(hours=n)).isoformat()},{200 + 10 * (n % 12)}"
        for n in range(1, 60)
        if n not in (7, 8)
    ]
    content = "\n".join(["hour,g_per_kwh", *lines, ""])
    series = {"zone": "DE", "basis": "lifecycle", "source": "s", "licence": "l"}
    await carbon_series.import_file(
        session, CarbonImport.model_validate({**series, "content": content}), by
    )
    made = [
        await budget_admin.create(session, by, BudgetCreate.model_validate(body))
        for body in _budgets(names)
    ]
    await budget_admin.close(session, by, made[-1].id)
    first = update(Budget).where(Budget.id == made[0].id).values(id=BUDGET)
    await session.execute(first.execution_options(synchronize_session=False))


def _budgets(names: Sequence[str]) -> list[dict[str, object]]:
    """A calm one, used up ones with hard names, one of a project, and one to close."""
    # They reject and stop nothing: other tests start runs.
    only_warns = {"refuses": False, "stops": False}
    energy = {"metric": "facility_energy_kwh", "scope": "lab", **only_warns}
    of_project = {"scope": "project", "project": PROJECT, "metric": "co2e_kg", "amount": 5}
    return [
        {**energy, "name": "the lab's year", "amount": 2, "period": "year", "thresholds": []},
        *({**energy, "name": one.strip(), "amount": 0} for one in names),
        {**of_project, "name": "a project's"},
        {**energy, "name": "an old one", "amount": 1},
    ]
