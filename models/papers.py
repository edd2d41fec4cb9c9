"""Papers: named collections of runs, whose price tags are fixed when a paper is frozen."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, HasCreatedAt, HasId


class Paper(HasId, HasCreatedAt, Base):
    """A collection of the runs behind a paper: those that were added, and those of its rule."""

    __tablename__ = "papers"
    __table_args__ = (
        Index(
            "ix_papers_created_by_idempotency_key",
            "created_by",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
    )

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id"), index=True)
    created_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    title: Mapped[str]
    authors: Mapped[str | None]
    rule: Mapped[dict[str, Any] | None]  # conditions of the runs that it collects
    published: Mapped[list[Any] | None]  # rows of other publications, as entered
    frozen_at: Mapped[datetime | None]
    selection_sha256: Mapped[str | None]  # of the frozen runs, versions and hashes
    idempotency_key: Mapped[str | None]
    body_sha256: Mapped[str | None]


class PaperRun(Base):
    """A run of a paper: added by hand, or fixed by freezing."""

    __tablename__ = "paper_runs"

    paper_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("papers.id", ondelete="CASCADE"), primary_key=True
    )
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id"), primary_key=True, index=True)
    purpose: Mapped[str | None]
    # Why it was in the paper when that was frozen: `added` or `rule`; null until then.
    origin: Mapped[str | None]
    # Of the frozen price tag; null until then, and for a run that had none.
    version: Mapped[int | None]
    content_sha256: Mapped[str | None]
