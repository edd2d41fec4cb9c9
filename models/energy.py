"""Hourly energy of nodes and attempts, and the idle power of components."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, HasId, now


class EnergyHour(HasId, Base):
    """Energy of one component in one hour: charged to an attempt, or drawn by the device.

    A row without an attempt is the device's total, as read by the node's meter. The part of
    the total that is charged to no attempt belongs to the node: it is "unallocated".
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
        Index("ix_energy_hours_hour_node_name", "hour", "node_name"),
        Index("ix_energy_hours_attempt_id", "attempt_id"),
    )

    node_name: Mapped[str]
    component: Mapped[str]
    name: Mapped[str]  # product name
    kind: Mapped[str]  # gpu | cpu | ram | host
    method: Mapped[str]  # counter | integrated | modelled
    gain_std_ratio: Mapped[float]  # relative error of the meter's gain; of a model, a factor
    hour: Mapped[datetime]
    attempt_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("attempts.id", ondelete="CASCADE")
    )
    site: Mapped[str | None]
    energy_j: Mapped[float]
    covered_s: Mapped[float]
    flags: Mapped[list[Any]] = mapped_column(default=list)


class Baseline(HasId, Base):
    """Idle power of a component in one state; remeasured from time to time."""

    __tablename__ = "baselines"
    __table_args__ = (
        Index(
            "uq_baselines_measured", "node_name", "component", "state", "measured_at", unique=True
        ),
    )

    node_name: Mapped[str]
    component: Mapped[str]
    state: Mapped[str]  # for example 'driver 560.1, P8, persistence on'
    power_w: Mapped[float]
    power_std_w: Mapped[float | None]
    duration_s: Mapped[float]
    source: Mapped[str]  # counter | integrated | modelled
    measured_at: Mapped[datetime] = mapped_column(default=now)
