"""Predicted usage of a run: the quantities of quotes and projections."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from app.schemas.common import Quantity, Wire


class QuoteQuantities(Wire):
    """Predicted usage of a run; unknown values have a reason."""

    duration_s: Quantity = Field(description="Duration, in seconds.")
    it_energy_kwh: Quantity = Field(
        description="Energy charged by the meters, before the PUE, in kWh."
    )
    facility_energy_kwh: Quantity = Field(description="IT energy x PUE, in kWh.")
    co2e_kg: Quantity = Field(
        description="Location-based emissions of the facility energy, in kg CO2e."
    )
    cost: Quantity = Field(
        description="Cost; `unit` is the currency, `reason` states what it includes."
    )


class ProjectionRead(Wire):
    """Projected totals of a running job over all attempts; unknown values have a reason."""

    at: datetime | None = Field(description="Time of the job's latest progress report.")
    progress_ratio: float | None = Field(description="Completed share of the expected usage.")
    quantities: QuoteQuantities = Field(description="Quantities by name.")
