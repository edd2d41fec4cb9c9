from __future__ import annotations

import uuid
from datetime import datetime

from pydantic import Field

from app.schemas.common import Name, Request, Role, Wire


class TokenCreate(Request):
    name: Name = Field(examples=["ada's laptop"])
    role: Role = Field(
        description="viewer reads; member also posts and cancels its own; admin does all."
    )


class TokenRead(Wire):
    id: uuid.UUID
    name: str
    role: Role
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class TokenCreated(TokenRead):
    secret: str = Field(description="Shown this once: only its SHA-256 is kept.")


class TokenList(Wire):
    items: list[TokenRead]
