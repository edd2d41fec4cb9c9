"""Studies: searches over runs of one job, and the trials on their record."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, HasId, now


class Study(HasId, Base):
    """A search: its description, which never changes, and how it ended.

    ``running -> finished | failed | cancelled``. Its next actions follow from the description and
    the record of its trials alone (``pricetag.studies``).
    """

    __tablename__ = "studies"
    __table_args__ = (
        CheckConstraint("status in ('running', 'finished', 'failed', 'cancelled')", name="status"),
        Index("ix_studies_created_at_id", "created_at", "id"),
        Index("ix_studies_project_id_created_at_id", "project_id", "created_at", "id"),
        Index("ix_studies_running", "id", postgresql_where=text("status = 'running'")),
        Index(
            "ix_studies_created_by_idempotency_key",
            "created_by",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
    )

    created_at: Mapped[datetime] = mapped_column(default=now)
    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id"))
    experiment: Mapped[str]  # name of the experiment of its runs
    name: Mapped[str]
    spec: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(default="running")
    status_reason: Mapped[dict[str, Any] | None]  # {code, message}
    created_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    token_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("tokens.id"))
    finished_at: Mapped[datetime | None]
    idempotency_key: Mapped[str | None]
    body_sha256: Mapped[str]


class StudyTrial(Base):
    """One combination of values; its number decides on its bracket."""

    __tablename__ = "study_trials"

    study_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    bracket: Mapped[int]
    trial_values: Mapped[dict[str, Any]]  # by the path of the field
    created_at: Mapped[datetime] = mapped_column(default=now)


class StudyRun(Base):
    """The run of a trial in a rung. The keys prevent that a rung, or a run, is there twice."""

    __tablename__ = "study_runs"
    __table_args__ = (
        ForeignKeyConstraint(
            ["study_id", "trial"],
            ["study_trials.study_id", "study_trials.number"],
            name="fk_study_runs_study_id_trial_study_trials",
            ondelete="CASCADE",
        ),
        CheckConstraint("(run_id IS NULL) = (failure IS NOT NULL)", name="run_or_failure"),
    )

    study_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    trial: Mapped[int] = mapped_column(primary_key=True)
    rung: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("runs.id", ondelete="CASCADE"), unique=True
    )
    failure: Mapped[dict[str, Any] | None]  # {code, message} of a run that could not be posted
    created_at: Mapped[datetime] = mapped_column(default=now)
