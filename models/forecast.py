"""Forecasts of carbon intensity, and the starts that were chosen by them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, HasCreatedAt, HasId


class CarbonForecast(HasId, HasCreatedAt, Base):
    """A provider's forecast of a zone by hour; of each signal, the latest one applies.

    ``g_per_kwh`` has the intensity by the hour's beginning (ISO 8601, UTC).
    """

    __tablename__ = "carbon_forecasts"
    __table_args__ = (
        CheckConstraint("signal in ('average', 'marginal')", name="signal"),
        Index("ix_carbon_forecasts_zone_signal_created_at", "zone", "signal", "created_at"),
    )

    zone: Mapped[str]
    signal: Mapped[str]  # average: what the grid emits; marginal: what one more kWh adds
    provider: Mapped[str]
    basis: Mapped[str]
    source: Mapped[str]
    source_url: Mapped[str] = mapped_column(default="")
    licence: Mapped[str]
    issued_at: Mapped[datetime | None]  # by the provider, if it states so
    g_per_kwh: Mapped[dict[str, Any]]
    entered_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))


class GreenStart(Base):
    """How the start of a run was chosen by a forecast, kept as it was at that time."""

    __tablename__ = "green_starts"

    run_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True
    )
    forecast_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("carbon_forecasts.id"))
    marginal_forecast_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("carbon_forecasts.id")
    )
    within_h: Mapped[float]
    duration_s: Mapped[float]
    duration_source: Mapped[str]  # quote | assumed
    earliest: Mapped[datetime]
    start: Mapped[datetime]
    at_once_g_per_kwh: Mapped[float]
    planned_g_per_kwh: Mapped[float]
    marginal_at_once_g_per_kwh: Mapped[float | None]
    marginal_planned_g_per_kwh: Mapped[float | None]
