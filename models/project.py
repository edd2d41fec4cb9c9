from __future__ import annotations

import uuid

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, HasCreatedAt, HasId


class Project(HasId, HasCreatedAt, Base):
    """A body of work. An open project is visible to the whole lab, a private one to its members."""

    __tablename__ = "projects"
    __table_args__ = (CheckConstraint("visibility in ('open', 'private')", name="visibility"),)

    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str] = mapped_column(default="")
    visibility: Mapped[str] = mapped_column(default="open")


class ProjectMember(HasCreatedAt, Base):
    """A user's role in a project; owners manage the members."""

    __tablename__ = "project_members"
    __table_args__ = (CheckConstraint("role in ('member', 'owner')", name="role"),)

    project_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(default="member")


class Experiment(HasId, HasCreatedAt, Base):
    __tablename__ = "experiments"
    __table_args__ = (UniqueConstraint("project_id", "name"),)

    project_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("projects.id"), index=True)
    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
