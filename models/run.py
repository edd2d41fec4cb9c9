from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, HasCreatedAt, HasId


class Run(HasId, HasCreatedAt, Base):
    """One job of a researcher: a recipe with its place in the queue and its status.

    queued -> running -> succeeded | failed | cancelled; after a lost or interrupted attempt
    the run is queued again as long as attempts remain.
    """

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint(
            "status in ('queued', 'running', 'succeeded', 'failed', 'cancelled')", name="status"
        ),
        Index("ix_runs_created_at_id", "created_at", "id"),
        Index("ix_runs_status_created_at", "status", "created_at"),
        Index("ix_runs_tags", "tags", postgresql_using="gin"),
    )

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id"), index=True)
    experiment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("experiments.id"), index=True)
    name: Mapped[str]
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    kind: Mapped[str]  # 'command' or the stage kinds joined by '+': 'train+quantize+measure'
    recipe: Mapped[dict[str, Any]]
    gpus: Mapped[int] = mapped_column(default=0)
    pool: Mapped[str] = mapped_column(default="default")
    priority: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime | None]
    max_attempts: Mapped[int] = mapped_column(default=3)
    status: Mapped[str] = mapped_column(default="queued")
    status_reason: Mapped[dict[str, Any] | None]  # {code, message, field?}
    progress: Mapped[dict[str, Any] | None]  # {stage, kind, done, total, unit, power_w, ...}
    cancel_requested_at: Mapped[datetime | None]
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    token_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("tokens.id"))  # of the request
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class RunEvent(Base):
    """One event of a run's stream; readers resume from its id."""

    __tablename__ = "run_events"
    __table_args__ = (Index("ix_run_events_run_id_id", "run_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    at: Mapped[datetime]
    kind: Mapped[str]  # status | stage | progress | power
    payload: Mapped[dict[str, Any]]
