"""Scores of quotes in columns, which a summary of thousands reads."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class QuoteScore(Base):
    """A quote's score without its figures; a trigger keeps it equal to ``quotes.score``.

    Of each quantity the log error, and whether the actual figure is in the quote's interval; null
    if either figure is unknown.
    """

    __tablename__ = "quote_scores"
    __table_args__ = (Index("ix_quote_scores_scored_at_run_id", "scored_at", "run_id"),)

    run_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("quotes.run_id", ondelete="CASCADE"), primary_key=True
    )
    scored_at: Mapped[datetime]
    status: Mapped[str]  # of the run
    method: Mapped[str]
    level: Mapped[str | None]
    pool: Mapped[str]
    duration_s_log_error: Mapped[float | None]
    duration_s_inside: Mapped[bool | None]
    it_energy_kwh_log_error: Mapped[float | None]
    it_energy_kwh_inside: Mapped[bool | None]
    facility_energy_kwh_log_error: Mapped[float | None]
    facility_energy_kwh_inside: Mapped[bool | None]
    co2e_kg_log_error: Mapped[float | None]
    co2e_kg_inside: Mapped[bool | None]
    cost_log_error: Mapped[float | None]
    cost_inside: Mapped[bool | None]
