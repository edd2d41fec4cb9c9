"""Roll-ups of the energy account: exact sums by hour, day and month, and pending hours."""

from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Identity, Index, Integer, Numeric, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class EnergyPending(Base):
    """An hour of a node that changed since it was rolled up, or never was.

    Triggers add it in the transaction that changes the hour. The account judges such hours
    itself and omits what the roll-ups hold for them. Duplicates do no harm.
    """

    __tablename__ = "energy_pending"
    __table_args__ = (Index("ix_energy_pending_hour_node_name", "hour", "node_name"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    node_name: Mapped[str]
    hour: Mapped[datetime]


class EnergySeries(Base):
    """Subject of a row of the roll-ups.

    ``component``: one component of a node, as one product. ``node``, ``site``, ``lab``: all
    components of a product there. ``charge``: the runs of one project and user on a node, on one
    product. ``lab-charge``: the same on all nodes. ``project``, ``user``, ``charges``: the runs
    of one project, of one user, of all. Components and charges are added up in the others, their
    parents, in the order of ``app.repositories.energy.series.PARENTS``.
    """

    __tablename__ = "energy_series"
    __table_args__ = (
        Index(
            "uq_energy_series_key",
            "scope",
            "node_name",
            "component",
            "site",
            "project_id",
            "user_id",
            "kind",
            "name",
            "method",
            "gain_std_ratio",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
        Index("ix_energy_series_node_name", "node_name"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    parents: Mapped[list[int]] = mapped_column(ARRAY(Integer), server_default=text("'{}'"))
    scope: Mapped[str]
    node_name: Mapped[str | None]
    component: Mapped[str | None]
    site: Mapped[str | None]
    # Without foreign keys: what is derived from the hours must not hold up what they are of.
    project_id: Mapped[uuid.UUID | None]
    user_id: Mapped[uuid.UUID | None]
    kind: Mapped[str]
    name: Mapped[str]
    method: Mapped[str]
    gain_std_ratio: Mapped[float]


class _Sums:
    """The parts of the account's identity, exactly, and component-hours by state.

    total = charged + running + unallocated + undecided
    """

    charged_j: Mapped[Decimal] = mapped_column(Numeric)
    running_j: Mapped[Decimal] = mapped_column(Numeric)
    unallocated_j: Mapped[Decimal] = mapped_column(Numeric)
    undecided_j: Mapped[Decimal] = mapped_column(Numeric)
    overallocated_j: Mapped[Decimal] = mapped_column(Numeric)
    hours: Mapped[int]
    unmetered_hours: Mapped[int]
    open_hours: Mapped[int]
    undecided_hours: Mapped[int]


class EnergyRollupHour(_Sums, Base):
    """The sums of a UTC hour; of components and charges, what the levels above are made of."""

    __tablename__ = "energy_rollup_hours"

    # Hours are written and read side by side.
    start: Mapped[datetime] = mapped_column(primary_key=True)
    series_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class EnergyRollupDay(_Sums, Base):
    """The sums of a UTC day."""

    __tablename__ = "energy_rollup_days"

    series_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    start: Mapped[datetime] = mapped_column(primary_key=True)


class EnergyRollupMonth(_Sums, Base):
    """The sums of a UTC month."""

    __tablename__ = "energy_rollup_months"

    series_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    start: Mapped[datetime] = mapped_column(primary_key=True)
