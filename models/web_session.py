"""Sessions of browsers, and what somebody opens or keeps to begin one."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, HasCreatedAt, HasId


class WebSession(HasId, HasCreatedAt, Base):
    """A signed-in browser. The secret is in its cookie; only its SHA-256 is kept."""

    __tablename__ = "web_sessions"
    __table_args__ = (
        CheckConstraint("method in ('link', 'token', 'oidc', 'proxy')", name="method"),
    )

    user_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id"), index=True)
    token_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("tokens.id"))
    method: Mapped[str]
    secret_sha256: Mapped[str] = mapped_column(unique=True)
    browser: Mapped[str | None]
    last_used_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class SignIn(HasId, HasCreatedAt, Base):
    """A sign-in under way: a one-time link of a user, or a visit to the identity provider."""

    __tablename__ = "sign_ins"

    secret_sha256: Mapped[str] = mapped_column(unique=True)
    user_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))
    details: Mapped[dict[str, Any] | None]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
