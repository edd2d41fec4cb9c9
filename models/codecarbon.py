from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, now


class CodecarbonRun(Base):
    """A client of CodeCarbon, before and after its first record made it a run with the same ID."""

    __tablename__ = "codecarbon_runs"
    __table_args__ = (
        CheckConstraint("kind in ('delta', 'total')", name="kind"),
        Index("ix_codecarbon_runs_open", "id", postgresql_where=text("ended_at IS NULL")),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]  # what it sends: differences or sums
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), index=True)
    token_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tokens.id"))
    project: Mapped[str]
    experiment: Mapped[str]
    about: Mapped[dict[str, Any]]  # its description, as received
    created_at: Mapped[datetime] = mapped_column(default=now)
    began_at: Mapped[datetime | None]  # from the first record; the run exists since then
    tally: Mapped[dict[str, Any] | None]  # what its records add up to
    ended_at: Mapped[datetime | None]  # after a silence
    problem: Mapped[str | None]  # why its records cannot become a run


class CodecarbonRecord(Base):
    """A record of a client as received; applied to its run a moment later."""

    __tablename__ = "codecarbon_records"
    __table_args__ = (
        CheckConstraint("kind in ('delta', 'total', 'closing')", name="kind"),
        Index("uq_codecarbon_records_run_id_sha256", "run_id", "sha256", unique=True),
        Index(
            "ix_codecarbon_records_unapplied",
            "run_id",
            postgresql_where=text("applied_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("codecarbon_runs.id", ondelete="CASCADE"))
    kind: Mapped[str]
    received_at: Mapped[datetime] = mapped_column(default=now)
    sha256: Mapped[str]  # of the body: one that comes again is recognized
    body: Mapped[dict[str, Any]]
    applied_at: Mapped[datetime | None]
