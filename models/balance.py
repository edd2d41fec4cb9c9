"""Running balances of budgets: sums of ``spend`` and of what open runs reserve.

The database itself adds a line with every change of the rows that they sum up; housekeeping
folds the lines of one key into one row. Sums are decimal, so that they are exact.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, Numeric, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base

LAB = uuid.UUID(int=0)
"""The ``scope_id`` of the lab."""


class Folded:
    """Columns of a table of sums by scope.

    The lines of one key are added with ``folded`` false, and then folded into one row.
    """

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    scope: Mapped[str]
    scope_id: Mapped[uuid.UUID]
    folded: Mapped[bool] = mapped_column(default=False, server_default=text("false"))


def _folded_by(
    table: str, key: Sequence[str], *, fresh: Sequence[str]
) -> tuple[CheckConstraint, Index, Index]:
    """Constraints of a table of sums.

    Args:
        table: Its name.
        key: Columns that identify a folded row within its scope.
        fresh: Columns by which the lines that are not folded yet are looked up in a scope.
    """
    return (
        CheckConstraint("scope in ('lab', 'project', 'experiment', 'user')", name="scope"),
        Index(
            f"uq_{table}_folded",
            *("scope", "scope_id", *key),
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=text("folded"),
        ),
        Index(
            f"ix_{table}_fresh",
            *("scope", "scope_id", *fresh),
            postgresql_where=text("NOT folded"),
        ),
    )


class SpendBalance(Folded, Base):
    """What attempts used that ended on one UTC day or in one UTC month, by evidence."""

    __tablename__ = "spend_balances"
    __table_args__ = (
        *_folded_by(
            "spend_balances",
            ("grain", "day", "currency", "energy_source", "co2e_source", "cost_source"),
            fresh=("grain", "day"),
        ),
        CheckConstraint("grain in ('day', 'month')", name="grain"),
        Index("ix_spend_balances_day", "day"),
    )

    grain: Mapped[str]
    day: Mapped[date]  # the first one of a month
    currency: Mapped[str | None]
    energy_source: Mapped[str | None]  # weakest evidence of the known figures
    co2e_source: Mapped[str | None]
    cost_source: Mapped[str | None]
    attempts: Mapped[int]
    energies: Mapped[int]  # number of attempts whose energy is known
    co2es: Mapped[int]
    costs: Mapped[int]
    facility_energy_kwh: Mapped[Decimal] = mapped_column(Numeric)
    co2e_kg: Mapped[Decimal] = mapped_column(Numeric)
    cost: Mapped[Decimal] = mapped_column(Numeric)


class WorkBalance(Base):
    """What attempts used that ended on one UTC day or in one UTC month, by how they ended.

    Kept like the balances of budgets, for the accounts of projects, users and failed work.
    """

    __tablename__ = "work_balances"
    __table_args__ = (
        CheckConstraint("grain in ('day', 'month')", name="grain"),
        Index(
            "uq_work_balances_folded",
            *("grain", "day", "project_id", "user_id", "status", "currency"),
            *("it_source", "energy_source", "co2e_source", "cost_source"),
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=text("folded"),
        ),
        Index("ix_work_balances_fresh", "grain", "day", postgresql_where=text("NOT folded")),
        Index("ix_work_balances_project_id_grain_day", "project_id", "grain", "day"),
        Index("ix_work_balances_user_id_grain_day", "user_id", "grain", "day"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    project_id: Mapped[uuid.UUID]
    user_id: Mapped[uuid.UUID | None]
    status: Mapped[str]
    grain: Mapped[str]
    day: Mapped[date]  # the first one of a month
    currency: Mapped[str | None]
    it_source: Mapped[str | None]  # weakest evidence of the IT energy, if known
    energy_source: Mapped[str | None]  # weakest evidence of the known figures
    co2e_source: Mapped[str | None]
    cost_source: Mapped[str | None]
    attempts: Mapped[int]
    it_energies: Mapped[int]  # number of attempts whose IT energy is known
    energies: Mapped[int]
    co2es: Mapped[int]
    costs: Mapped[int]
    it_energy_kwh: Mapped[Decimal] = mapped_column(Numeric)
    facility_energy_kwh: Mapped[Decimal] = mapped_column(Numeric)
    co2e_kg: Mapped[Decimal] = mapped_column(Numeric)
    cost: Mapped[Decimal] = mapped_column(Numeric)
    folded: Mapped[bool] = mapped_column(default=False, server_default=text("false"))


class SpendRepeat(Folded, Base):
    """Number of times that a run has a further attempt with the same figure unknown.

    A budget counts runs with unknown use, each once: the attempts less these pairs of
    consecutive attempts. For ``cost`` without a currency the pairs are of any two attempts; with
    a currency, a correction to that for budgets in this currency.
    """

    __tablename__ = "spend_repeats"
    __table_args__ = (
        *_folded_by(
            "spend_repeats",
            ("metric", "currency", "day", "earlier_day"),
            fresh=("metric", "day"),
        ),
        Index("ix_spend_repeats_day", "day"),
    )

    metric: Mapped[str]
    currency: Mapped[str | None]
    day: Mapped[date]  # of the later attempt
    earlier_day: Mapped[date]
    pairs: Mapped[int]


class Reserve(Base):
    """What the quote of one open run expects beyond what its ended attempts have used."""

    __tablename__ = "reserves"

    run_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True
    )
    project_id: Mapped[uuid.UUID]
    experiment_id: Mapped[uuid.UUID]
    user_id: Mapped[uuid.UUID | None]
    facility_energy_kwh: Mapped[Decimal] = mapped_column(Numeric)  # 0: unknown, or used
    co2e_kg: Mapped[Decimal] = mapped_column(Numeric)
    cost: Mapped[Decimal] = mapped_column(Numeric)
    currency: Mapped[str | None]


class ReserveBalance(Folded, Base):
    """What all open runs of a scope reserve."""

    __tablename__ = "reserve_balances"
    __table_args__ = _folded_by("reserve_balances", ("currency",), fresh=())

    currency: Mapped[str | None]
    runs: Mapped[int]
    facility_energy_kwh: Mapped[Decimal] = mapped_column(Numeric)
    co2e_kg: Mapped[Decimal] = mapped_column(Numeric)
    cost: Mapped[Decimal] = mapped_column(Numeric)


class RunCount(Base):
    """How many runs a project or an experiment has."""

    __tablename__ = "run_counts"
    __table_args__ = (
        CheckConstraint("scope IN ('project', 'experiment')", name="scope"),
        Index(
            "uq_run_counts_folded",
            *("scope", "scope_id"),
            unique=True,
            postgresql_where=text("folded"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    scope: Mapped[str]
    scope_id: Mapped[uuid.UUID] = mapped_column(index=True)
    runs: Mapped[int]
    folded: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
