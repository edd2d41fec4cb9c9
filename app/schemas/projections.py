"""Predicted usage of a run: the quantities of quotes and projections."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from app.schemas.common import Quantity, Wire


class QuoteQuantities(Wire):
    """Predicted usage of a run; unknown values have a reason."""

    duration_s: Quantity
    it_energy_kwh: Quantity
    facility_energy_kwh: Quantity
    co2e_kg: Quantity
    cost: Quantity = Field(
        description="Cost; `unit` is the currency, `reason` states what it includes."
    )


class ProjectionRead(Wire):
    """Projected totals of a running job over all attempts; unknown values have a reason."""

    at: datetime | None = Field(description="Time of the job's latest progress report.")
    progress_ratio: float | None = Field(description="Completed share of the expected usage.")
    quantities: QuoteQuantities
