"""The people and services that use Pricetag."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, HasCreatedAt, HasId


class User(HasId, HasCreatedAt, Base):
    """A person or a service. Runs, budgets and audit entries name it; tokens belong to it."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("role in ('ingest', 'viewer', 'member', 'admin')", name="role"),
        CheckConstraint("(issuer IS NULL) = (subject IS NULL)", name="external_identity"),
        UniqueConstraint("issuer", "subject"),
    )

    name: Mapped[str] = mapped_column(unique=True)
    email: Mapped[str | None]
    role: Mapped[str]
    issuer: Mapped[str | None]  # issuer of the external identity (OIDC)
    subject: Mapped[str | None]  # the issuer's id of the user
    disabled_at: Mapped[datetime | None]
