"""Hours of nodes and attempts for tests of the lab's energy account."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from app.db import Session
from app.schemas.common import Role
from app.schemas.energy import EnergyAccount
from app.services.energy import account as energy_account
from app.services.energy.node_hours import NodeHour
from models import Attempt, EnergyHour, Project
from tests.support.api import a_principal
from tests.support.executions import claimed, make_run

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOW = NOON + timedelta(days=3)
GPU = "gpu:GPU-1"

KINDS: dict[str, tuple[Any, ...]] = {
    GPU: ("gpu", "NVIDIA H200", "counter", 0.05),
    "gpu:GPU-2": ("gpu", "NVIDIA H200", "integrated", 0.05),
    "cpu": ("cpu", "AMD EPYC", "modelled", 0.45),
}


def node_hour(component: str, hour: datetime, energy_j: float, covered_s: float) -> NodeHour:
    """An hour of a component as the node's own meter reports it."""
    kind, name, method, gain = KINDS[component]
    return NodeHour(component, name, kind, method, gain, hour, energy_j, covered_s)


async def ended_attempt(session: Session, node: str = "node", project: str = "") -> UUID:
    """A succeeded attempt on the node."""
    run = await make_run(session)
    if project:
        owner = await session.get_one(Project, run.project_id)
        owner.name = project
    claimed_run = await claimed(session, run.id)
    attempt = await session.get_one(Attempt, claimed_run.attempt_id)
    attempt.node_name = node
    attempt.ended_at = datetime.now(UTC)
    attempt.status = "succeeded"
    await session.flush()
    return attempt.id


def charge(
    session: Session,
    attempt_id: UUID,
    component: str,
    hour: datetime,
    energy_j: float,
    covered_s: float,
    node: str = "node",
) -> None:
    """Adds what an attempt was charged in an hour."""
    kind, name, method, gain = KINDS[component]
    session.add(
        EnergyHour(
            node_name=node,
            component=component,
            name=name,
            kind=kind,
            method=method,
            gain_std_ratio=gain,
            hour=hour,
            attempt_id=attempt_id,
            energy_j=energy_j,
            covered_s=covered_s,
        )
    )


async def account(
    session: Session, by: str = "node", *, role: Role = "admin", **more: Any
) -> dict[str, Any]:
    """The energy account of one day, as JSON, which is that of its model."""
    query = {"start": NOON, "stop": NOON + 24 * HOUR, "node": None, "now": NOW} | more
    written = await energy_account.energy_account(
        session, await a_principal(session, role), by=cast(Any, by), **query
    )
    model = EnergyAccount.model_validate_json(written)
    assert model.model_dump_json(by_alias=True).encode() == written
    return dict(json.loads(written))


def joules(figures: dict[str, Any], name: str) -> float | None:
    """A figure of the account in J."""
    value = figures[f"{name}_kwh"]["value"]
    return None if value is None else value * 3.6e6


async def open_attempt(session: Session, started_at: datetime, node: str = "node") -> Attempt:
    """A running attempt that holds the first GPU."""
    run = await make_run(session)
    claimed_run = await claimed(session, run.id)
    attempt = await session.get_one(Attempt, claimed_run.attempt_id)
    attempt.started_at = started_at
    attempt.node_name = node
    attempt.components = [{"id": GPU}]
    await session.flush()
    return attempt
