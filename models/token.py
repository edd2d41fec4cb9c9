from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, HasCreatedAt, HasId


class Token(HasId, HasCreatedAt, Base):
    """An API token. The secret is shown once; only its SHA-256 is kept."""

    __tablename__ = "tokens"
    __table_args__ = (CheckConstraint("role in ('viewer', 'member', 'admin')", name="role"),)

    name: Mapped[str]
    role: Mapped[str]
    secret_sha256: Mapped[str] = mapped_column(unique=True)
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class IdempotencyKey(HasCreatedAt, Base):
    __tablename__ = "idempotency_keys"

    token_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tokens.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    body_sha256: Mapped[str]
    run_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
