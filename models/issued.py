"""Documents that are issued and never edited: price tags and reports."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, HasCreatedAt, HasId


class PriceTag(HasId, HasCreatedAt, Base):
    __tablename__ = "price_tags"
    __table_args__ = (UniqueConstraint("run_id", "version"),)

    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    version: Mapped[int]
    accounting_version: Mapped[str]
    cause: Mapped[str] = mapped_column(default="attempt-ended")  # | journal-came-late | repriced
    as_of: Mapped[datetime | None]  # uses the entries known then; null: the time of issue
    content: Mapped[dict[str, Any]]
    content_sha256: Mapped[str]


class Report(HasId, HasCreatedAt, Base):
    __tablename__ = "reports"

    title: Mapped[str]
    profile: Mapped[str]
    context: Mapped[dict[str, Any]]  # content from which all six formats are rendered
    content_sha256: Mapped[str]
    created_by: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))


class ReportProject(Base):
    """A project with runs in a report; only users who see all its projects see the report."""

    __tablename__ = "report_projects"

    report_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("reports.id", ondelete="CASCADE"), primary_key=True
    )
    project_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("projects.id"), primary_key=True, index=True
    )
