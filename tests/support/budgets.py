"""Budgets, quotes and running jobs for tests."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from app.db import Session
from app.services import execution
from models import Quote, Run
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
"""Settings under which a job's figures are easily told; set them as environment variables."""


@dataclass(frozen=True)
class Draft:
    """A quote that is made up."""

    facility_energy_kwh: Quantity | None = None
    co2e_kg: Quantity | None = None
    cost: Quantity | None = None
    method: str = "history"


def draft(value: float | None, metric: str = "facility_energy_kwh", unit: str = "kWh") -> Draft:
    """A quote of one figure; of none where it is None."""
    figure = Quantity.unknown(unit, "nobody knows")
    if value is not None:
        figure = Quantity(value, 0.5 * value, 2 * value, unit, "estimated")
    method = "unknown" if value is None else "history"
    figures: dict[str, Any] = {metric: figure}
    return Draft(method=method, **figures)


async def promise(session: Session, run: Run, kwh: float, **other: Any) -> None:
    """Stores a quote, as the one who posts a run does once it is admitted."""
    session.add(
        Quote(run_id=run.id, method="history", content={}, facility_energy_kwh=kwh, **other)
    )
    await session.flush()


async def make_budget(api: Api, **changes: Any) -> dict[str, Any]:
    """A budget of energy for the lab, in all; gives what the server answered."""
    body = {
        "name": "lab",
        "scope": "lab",
        "metric": "facility_energy_kwh",
        "amount": 10,
        **changes,
    }
    answer = await api.admin.post("/v1/budgets", json=body)
    assert answer.status_code == 201, answer.text
    return cast("dict[str, Any]", answer.json())


async def at_work(session: Session, run_id: UUID, *, watts: float, seconds: int) -> UUID:
    """Claims a run and lets its GPU draw a steady power; gives the attempt."""
    taken = await claimed(session, run_id)
    journal = JournalMaker(taken.attempt_id)
    journal.start()
    for second in range(seconds + 1):
        journal.read(float(second), gpu_w=watts, cpu_w=0.0)
    await execution.ingest(session, taken.attempt_id, journal.records)
    return taken.attempt_id
