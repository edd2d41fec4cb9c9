"""Time series of running attempts: readings, metrics, log lines."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class Reading(Base):
    """One reading of one component, taken at most once a second and at every stage edge."""

    __tablename__ = "readings"

    attempt_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("attempts.id", ondelete="CASCADE"), primary_key=True
    )
    component: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)  # number of the journal record
    t_s: Mapped[float]  # monotonic seconds since the meter opened
    counter_j: Mapped[float | None]
    integrated_j: Mapped[float | None]
    power_w: Mapped[float | None]
    own_busy_s: Mapped[float | None]  # cumulative activity of this job on the component
    all_busy_s: Mapped[float | None]  # cumulative activity of all processes on the component
    flags: Mapped[list[Any]] = mapped_column(default=list)


class Measurement(Base):
    """Energy of one component over one stage, or over the whole attempt (stage_key '')."""

    __tablename__ = "measurements"

    attempt_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("attempts.id", ondelete="CASCADE"), primary_key=True
    )
    stage_key: Mapped[str] = mapped_column(primary_key=True)
    component: Mapped[str] = mapped_column(primary_key=True)
    start_s: Mapped[float]
    end_s: Mapped[float]
    energy_j: Mapped[float | None]  # charged to the run: its share of the device's energy
    device_energy_j: Mapped[float | None]  # energy of the whole device
    baseline_j: Mapped[float | None]  # idle part of the charged energy; null: no known baseline
    energy_by_hour_j: Mapped[dict[str, Any] | None]  # charged energy by UTC hour
    energy_by_source_j: Mapped[dict[str, Any]]
    covered_s: Mapped[float]
    flags: Mapped[list[Any]] = mapped_column(default=list)
    reason: Mapped[str | None]


class Metric(Base):
    __tablename__ = "metrics"

    attempt_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("attempts.id", ondelete="CASCADE"), primary_key=True
    )
    seq: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    stage_key: Mapped[str | None]
    name: Mapped[str]
    value: Mapped[float | None]
    unit: Mapped[str | None]
    split: Mapped[str | None]
    step: Mapped[int | None] = mapped_column(BigInteger)
    quality: Mapped[bool] = mapped_column(default=False)  # belongs on the price tag
    of_class: Mapped[str | None]  # class that a metric such as F1 refers to
    reason: Mapped[str | None]  # why the value is missing


class LogLine(Base):
    __tablename__ = "log_lines"

    attempt_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("attempts.id", ondelete="CASCADE"), primary_key=True
    )
    seq: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    stream: Mapped[str]  # stdout | stderr | pricetag
    text: Mapped[str]
