"""Budgets, quotes and running jobs for tests."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from app.db import Session
from app.services.attempts import execution
from models import Budget, Quote, Run
from pricetag.accounting.quantity.quantity import Quantity
from tests.support.api import Api
from tests.support.executions import JournalMaker, claimed

J_PER_KWH = 3_600_000.0
PUE, KG_PER_KWH, USD_PER_KWH = 1.2, 0.1, 0.3
FACTORS: dict[str, Any] = {
    "pue": PUE,
    "grid_g_per_kwh": 1000 * KG_PER_KWH,
    "electricity_per_kwh": Decimal(str(USD_PER_KWH)),
    "currency": "USD",
}
"""Settings with which a job's figures are simple; set them as environment variables."""


@dataclass(frozen=True)
class Draft:
    """An invented quote."""

    facility_energy_kwh: Quantity | None = None
    co2e_kg: Quantity | None = None
    cost: Quantity | None = None
    method: str = "history"


def draft(value: float | None, metric: str = "facility_energy_kwh", unit: str = "kWh") -> Draft:
    """A quote with one figure, or an unknown one if the value is None."""
    figure = Quantity.unknown(unit, "nobody knows")
    if value is not None:
        figure = Quantity(value, 0.5 * value, 2 * value, unit, "estimated")
    method = "unknown" if value is None else "history"
    figures: dict[str, Any] = {metric: figure}
    return Draft(method=method, **figures)


async def promise(session: Session, run: Run, kwh: float, **other: Any) -> None:
    """Stores a quote, as posting a run does once it is admitted."""
    session.add(
        Quote(run_id=run.id, method="history", content={}, facility_energy_kwh=kwh, **other)
    )
    await session.flush()


async def make_budget(api: Api, **changes: Any) -> dict[str, Any]:
    """Creates a budget over the API, by default of 10 kWh for the lab; returns the response."""
    body = {
        "name": "lab",
        "scope": "lab",
        "metric": "facility_energy_kwh",
        "amount": 10,
        "create_missing": "project" in changes,
        **changes,
    }
    response = await api.admin.post("/v1/budgets", json=body)
    assert response.status_code == 201, response.text
    return cast("dict[str, Any]", response.json())


async def at_work(session: Session, run_id: UUID, *, watts: float, seconds: int) -> UUID:
    """Claims a run and lets its GPU draw a steady power; returns the attempt's ID."""
    claimed_run = await claimed(session, run_id)
    journal = JournalMaker(claimed_run.attempt_id)
    journal.start()
    for second in range(seconds + 1):
        journal.read(float(second), gpu_w=watts, cpu_w=0.0)
    await execution.ingest(session, claimed_run.attempt_id, journal.records)
    return claimed_run.attempt_id


async def add_budget(session: Session, amount: float, **values: Any) -> Budget:
    """A budget of energy for the lab, by default; added without the API."""
    columns = {"name": "a budget", "scope": "lab", "metric": "facility_energy_kwh", **values}
    budget = Budget(amount=Decimal(str(amount)), **columns)
    session.add(budget)
    await session.flush()
    return budget


async def standing(api: Api, budget_id: str) -> dict[str, Any]:
    """The figures of a budget over the API."""
    response = await api.viewer.get(f"/v1/budgets/{budget_id}")
    assert response.status_code == 200, response.text
    return dict(response.json())


async def end_run(session: Session, run: Run, status: str, reason: dict[str, Any] | None) -> None:
    """Executes a run with a whole journal, which ends with the status."""
    claimed_run = await claimed(session, run.id)
    journal = JournalMaker(claimed_run.attempt_id)
    journal.whole(status, reason)
    await execution.ingest(session, claimed_run.attempt_id, journal.records)
