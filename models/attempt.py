from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, HasId, now


class Attempt(HasId, Base):
    """One execution of a run by one worker. Its energy stays on the bill, however it ends."""

    __tablename__ = "attempts"
    __table_args__ = (
        CheckConstraint(
            "status in ('running', 'succeeded', 'failed', 'cancelled', 'interrupted', 'lost')",
            name="status",
        ),
        UniqueConstraint("run_id", "number"),
        Index("ix_attempts_node_name_ended_at", "node_name", "ended_at"),
        # The database itself prevents two concurrent attempts of a run, except for a job of a
        # cluster, whose nodes are attempts.
        Index(
            "uq_attempts_one_open_per_run",
            "run_id",
            unique=True,
            postgresql_where=text("ended_at IS NULL AND worker <> 'slurm'"),
        ),
        Index("ix_attempts_open", "run_id", postgresql_where=text("ended_at IS NULL")),
    )

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), index=True)
    number: Mapped[int]
    status: Mapped[str] = mapped_column(default="running")
    reason: Mapped[dict[str, Any] | None]
    worker: Mapped[str]  # identity of the worker process: node name, pid, boot id
    node_name: Mapped[str]
    site: Mapped[str | None]  # the site whose factors apply
    devices: Mapped[list[Any]] = mapped_column(default=list)
    components: Mapped[list[Any]] = mapped_column(default=list)  # metered components
    environment: Mapped[dict[str, Any] | None]  # packages, git commit, python, seeds
    second_opinion: Mapped[dict[str, Any] | None]  # CodeCarbon's figures
    started_at: Mapped[datetime] = mapped_column(default=now)
    meter_opened_at: Mapped[datetime | None]  # zero of the clock of its readings
    lease_renewed_at: Mapped[datetime] = mapped_column(default=now)
    lease_s: Mapped[float | None]  # duration of the worker's lease without renewal
    ended_at: Mapped[datetime | None]
    duration_s: Mapped[float | None]
    ingested_seq: Mapped[int] = mapped_column(default=-1)  # last journal record applied
    live: Mapped[dict[str, Any] | None]  # energy charged so far per component, while it runs
    unread_j: Mapped[dict[str, Any] | None]  # most that is charged after the last reading
    intake: Mapped[dict[str, Any] | None]  # counts of stored and dropped metrics
    shares_overlaps: Mapped[bool] = mapped_column(default=False)  # overlapping stages share energy


class Stage(Base):
    __tablename__ = "stages"

    attempt_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("attempts.id", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(primary_key=True)
    index: Mapped[int]
    parent_key: Mapped[str | None]
    recipe_index: Mapped[int | None]
    kind: Mapped[str]
    name: Mapped[str]
    status: Mapped[str]  # running | reused | a final status of an attempt
    start_s: Mapped[float]  # seconds since the attempt's meter opened
    end_s: Mapped[float | None]
    flops: Mapped[dict[str, Any] | None]
    flags: Mapped[list[Any]] = mapped_column(default=list)


class RejectedRecord(Base):
    """An invalid record that a job reported, with the reason; the attempt continues without it."""

    __tablename__ = "rejected_records"

    attempt_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("attempts.id", ondelete="CASCADE"), primary_key=True
    )
    seq: Mapped[int] = mapped_column(primary_key=True)  # number of the journal record
    at: Mapped[datetime]
    reason: Mapped[str]
    record: Mapped[str]  # beginning of the record as received


class Artifact(HasId, Base):
    __tablename__ = "artifacts"
    __table_args__ = (
        UniqueConstraint("attempt_id", "path"),
        Index("ix_artifacts_sha256", "sha256"),
        Index(
            "ix_artifacts_waiting",
            "attempt_id",
            postgresql_where=text(
                "stored_at IS NULL AND not_stored IS NULL AND removed_at IS NULL"
            ),
        ),
    )

    attempt_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("attempts.id", ondelete="CASCADE"), index=True
    )
    stage_key: Mapped[str | None]
    name: Mapped[str]
    path: Mapped[str]  # relative to the artifact root
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    card: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    # Its content is in the artifact store since then; null: in the artifact folder of its node.
    stored_at: Mapped[datetime | None]
    not_stored: Mapped[str | None]  # why its content cannot be moved to the artifact store
    removed_at: Mapped[datetime | None]  # its content was removed to save space
