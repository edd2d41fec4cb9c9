"""Saved views of the list of runs, and long links that are stored."""

from __future__ import annotations

import uuid

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, HasCreatedAt, HasId


class SavedView(HasId, HasCreatedAt, Base):
    """Filters, order and columns of the list of runs, as the query of its address.

    One without a name is a long link that was stored: whoever has its id may open it.
    """

    __tablename__ = "saved_views"
    __table_args__ = (
        Index(
            "ix_saved_views_created_by_name",
            "created_by",
            "name",
            unique=True,
            postgresql_where=text("project_id IS NULL AND name IS NOT NULL"),
        ),
        Index(
            "ix_saved_views_project_id_name",
            "project_id",
            "name",
            unique=True,
            postgresql_where=text("project_id IS NOT NULL"),
        ),
        Index(
            "ix_saved_views_default",
            "project_id",
            unique=True,
            postgresql_where=text("is_default"),
        ),
    )

    created_by: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"))
    project_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str | None]
    query: Mapped[str]
    is_default: Mapped[bool] = mapped_column(default=False)
