"""Budgets, their alerts, the spend of attempts, quotes and the audit log."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Numeric,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, HasCreatedAt, HasId, now

AUDIT_FILTERS = ("object_id", "token_id", "user_id", "actor", "action", "object_kind", "access")
"""Columns of the audit log that entries are found by; those of the fewest entries first."""


class Budget(HasId, HasCreatedAt, Base):
    """Limit on the energy, carbon or cost of a scope, per period or in total."""

    __tablename__ = "budgets"
    __table_args__ = (
        CheckConstraint("scope in ('lab', 'project', 'experiment', 'user')", name="scope"),
        CheckConstraint("metric in ('facility_energy_kwh', 'co2e_kg', 'cost')", name="metric"),
        CheckConstraint("period in ('total', 'week', 'month', 'quarter', 'year')", name="period"),
        CheckConstraint("amount >= 0", name="amount"),
        CheckConstraint("(scope = 'lab') = (scope_id IS NULL)", name="scope_id"),
        CheckConstraint("(metric = 'cost') = (currency IS NOT NULL)", name="currency"),
    )

    name: Mapped[str] = mapped_column(unique=True)
    scope: Mapped[str]
    scope_id: Mapped[uuid.UUID | None]  # id of the project, the experiment or the user
    metric: Mapped[str]
    currency: Mapped[str | None]
    amount: Mapped[Decimal] = mapped_column(Numeric)
    period: Mapped[str] = mapped_column(default="total")
    time_zone: Mapped[str] = mapped_column(default="UTC")  # in which its periods begin
    thresholds: Mapped[list[Any]] = mapped_column(default=list)  # used ratios that raise an alert
    refuses: Mapped[bool] = mapped_column(default=True)  # rejects runs whose quote exceeds the rest
    stops: Mapped[bool] = mapped_column(default=True)  # stops running jobs once it is used up
    closed_at: Mapped[datetime | None]


class BudgetAlert(HasCreatedAt, Base):
    """A threshold that was crossed; announced once per period."""

    __tablename__ = "budget_alerts"

    budget_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("budgets.id", ondelete="CASCADE"), primary_key=True
    )
    period_start: Mapped[datetime] = mapped_column(primary_key=True)
    threshold_ratio: Mapped[float] = mapped_column(primary_key=True)
    used: Mapped[Decimal] = mapped_column(Numeric)


class Spend(Base):
    """Usage of one attempt by the latest price tag of its run; failed attempts count."""

    __tablename__ = "spend"
    __table_args__ = (
        Index("ix_spend_project_id_at", "project_id", "at"),
        Index("ix_spend_experiment_id_at", "experiment_id", "at"),
        Index("ix_spend_user_id_at", "user_id", "at"),
        Index("ix_spend_at", "at"),
    )

    attempt_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("attempts.id", ondelete="CASCADE"), primary_key=True
    )
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), index=True)
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id"))
    experiment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("experiments.id"))
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    at: Mapped[datetime] = mapped_column(default=now)  # end of the attempt
    price_tag_version: Mapped[int]
    it_energy_kwh: Mapped[float | None]  # null: not metered
    facility_energy_kwh: Mapped[float | None]
    co2e_kg: Mapped[float | None]
    cost: Mapped[Decimal | None] = mapped_column(Numeric)
    currency: Mapped[str | None]
    sources: Mapped[dict[str, Any]] = mapped_column(default=dict)  # weakest evidence per figure


class AuditEntry(Base):
    """One change of a token, site, factor, price or budget, and its author; never edited."""

    __tablename__ = "audit_log"
    __table_args__ = (
        # Every filter, in order of time.
        Index("ix_audit_log_at_id", "at", "id"),
        *(Index(f"ix_audit_log_{name}_at_id", name, "at", "id") for name in AUDIT_FILTERS),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    token_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("tokens.id"))
    actor: Mapped[str]  # name of the user at that time, 'service' or 'database'
    access: Mapped[str]  # token | session | direct-database | service
    os_user: Mapped[str | None]  # account of the operating system, for direct database access
    action: Mapped[str]  # created | changed | closed | imported | revoked | repriced | ...
    object_kind: Mapped[str]
    object_id: Mapped[str]
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]


class Quote(HasId, HasCreatedAt, Base):
    """Expected usage of a run before it started, and how accurate the quote was."""

    __tablename__ = "quotes"
    __table_args__ = (UniqueConstraint("run_id"),)

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    method: Mapped[str]  # history | flops | unknown
    content: Mapped[dict[str, Any]]  # quantities, and the runs they are based on
    facility_energy_kwh: Mapped[float | None]  # the amount reserved in budgets, like the next ones
    co2e_kg: Mapped[float | None]
    cost: Mapped[Decimal | None] = mapped_column(Numeric)
    currency: Mapped[str | None]
    score: Mapped[dict[str, Any] | None]  # quote against actual, once the run has ended
    scored_at: Mapped[datetime | None]
