"""Factors that apply to a site's energy: append-only, each row with its source."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Numeric
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, HasCreatedAt, HasId


class Site(HasId, HasCreatedAt, Base):
    """The location of nodes: one grid connection, one building, one tariff."""

    __tablename__ = "sites"

    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str] = mapped_column(default="")
    grid_zone: Mapped[str | None]  # ISO 3166 code, optionally with a subdivision: US-CA
    time_zone: Mapped[str] = mapped_column(default="UTC")  # in which its tariff's hours are given
    currency: Mapped[str] = mapped_column(default="USD")


class Factor(HasId, HasCreatedAt, Base):
    """One factor of a site, or of the lab if it has no site; never changed once entered.

    If several are valid at a time, the one entered last applies. ``created_at`` is the time of
    entry; ``valid_from`` and ``valid_to`` (exclusive) bound the time for which it applies.
    """

    __tablename__ = "factors"
    __table_args__ = (
        CheckConstraint(
            "kind in ('pue', 'wue', 'water_intensity', 'carbon_location', 'carbon_market', "
            "'tariff', 'embodied', 'calibration')",
            name="kind",
        ),
        CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name="valid_range"),
        Index("ix_factors_kind_subject_site_id", "kind", "subject", "site_id"),
    )

    site_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("sites.id"))
    kind: Mapped[str]
    subject: Mapped[str] = mapped_column(default="")  # zone, device UUID or hardware; '' for none
    value: Mapped[Decimal] = mapped_column(Numeric)
    unit: Mapped[str]
    relative_std_ratio: Mapped[float]
    multiplicative: Mapped[bool] = mapped_column(default=False)
    evidence: Mapped[str]  # counter | integrated | modelled | estimated | assumed
    source: Mapped[str]
    source_url: Mapped[str] = mapped_column(default="")
    year: Mapped[int]
    basis: Mapped[str]
    licence: Mapped[str]
    details: Mapped[dict[str, Any] | None]  # periods of a tariff, lifetime of hardware
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]
    entered_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))


class Price(HasId, HasCreatedAt, Base):
    """A row of the lab's price book; rows with one ``price_id`` follow each other in time."""

    __tablename__ = "prices"
    __table_args__ = (
        CheckConstraint("amount >= 0", name="amount"),
        CheckConstraint("kind in ('on_demand', 'spot', 'reserved', 'internal')", name="kind"),
        CheckConstraint("valid_to IS NULL OR valid_to > valid_from", name="valid_range"),
        Index("ix_prices_price_id_valid_from", "price_id", "valid_from"),
    )

    price_id: Mapped[str]
    provider: Mapped[str]
    region: Mapped[str] = mapped_column(default="")
    accelerator: Mapped[str]
    unit: Mapped[str] = mapped_column(default="device_hour")
    amount: Mapped[Decimal] = mapped_column(Numeric)
    currency: Mapped[str]
    kind: Mapped[str]
    source: Mapped[str]
    source_url: Mapped[str] = mapped_column(default="")
    licence: Mapped[str]
    details: Mapped[dict[str, Any] | None]  # derivation of an internal price from capex
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]
    entered_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))


class CarbonSeries(HasId, HasCreatedAt, Base):
    """One import of hourly carbon intensities of a zone; for each hour, the latest import wins."""

    __tablename__ = "carbon_series"

    zone: Mapped[str] = mapped_column(index=True)
    basis: Mapped[str]
    source: Mapped[str]
    source_url: Mapped[str] = mapped_column(default="")
    licence: Mapped[str]
    relative_std_ratio: Mapped[float]
    content_sha256: Mapped[str]
    entered_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))


class CarbonHour(Base):
    """Carbon intensity of the hour that begins at ``hour``."""

    __tablename__ = "carbon_hours"
    __table_args__ = (CheckConstraint("g_per_kwh >= 0", name="g_per_kwh"),)

    series_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("carbon_series.id", ondelete="CASCADE"), primary_key=True
    )
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    g_per_kwh: Mapped[float]
