"""Where a node's energy went, hour by hour, and what it uses when it does nothing."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, HasId, now


class EnergyHour(HasId, Base):
    """Energy of one component in one hour: what a run was charged, or what the device used.

    Without an attempt it is the device's own total as the node's meter read it; what no
    attempt was charged of it is the node's, "unallocated".
    """

    __tablename__ = "energy_hours"
    __table_args__ = (
        Index(
            "uq_energy_hours_slot",
            "node_name",
            "component",
            "hour",
            "attempt_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
        Index("ix_energy_hours_hour", "hour"),
        Index("ix_energy_hours_attempt_id", "attempt_id"),
    )

    node_name: Mapped[str]
    component: Mapped[str]
    name: Mapped[str]  # product name
    kind: Mapped[str]  # gpu | cpu | ram | host
    method: Mapped[str]  # counter | integrated | modelled
    gain_std_ratio: Mapped[float]  # of its meter; of a model: a factor
    hour: Mapped[datetime]
    attempt_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("attempts.id", ondelete="CASCADE")
    )
    site: Mapped[str | None]
    energy_j: Mapped[float]
    covered_s: Mapped[float]
    flags: Mapped[list[Any]] = mapped_column(default=list)


class Baseline(HasId, Base):
    """Power of a component with no job on it, in one state; measured again now and then."""

    __tablename__ = "baselines"
    __table_args__ = (
        Index(
            "uq_baselines_measured", "node_name", "component", "state", "measured_at", unique=True
        ),
    )

    node_name: Mapped[str]
    component: Mapped[str]
    state: Mapped[str]  # 'driver 560.1, P8, persistence on': power differs between them
    power_w: Mapped[float]
    power_std_w: Mapped[float | None]
    duration_s: Mapped[float]
    source: Mapped[str]  # counter | integrated | modelled
    measured_at: Mapped[datetime] = mapped_column(default=now)
