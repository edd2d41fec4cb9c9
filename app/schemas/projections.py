"""What a run will use: the quantities of quotes and of projections."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from app.schemas.common import Quantity, Wire


class QuoteQuantities(Wire):
    """What a run will use, or would; unknown figures say why."""

    duration_s: Quantity
    it_energy_kwh: Quantity
    facility_energy_kwh: Quantity
    co2e_kg: Quantity
    cost: Quantity = Field(description="In its `unit`, a currency; `reason` says what is in it.")


class ProjectionRead(Wire):
    """Where a running job will end, all attempts together; unknown figures say why."""

    at: datetime | None = Field(description="When the job last told how far it is.")
    progress_ratio: float | None = Field(description="Share of its use that is behind it.")
    quantities: QuoteQuantities
