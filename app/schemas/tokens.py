from __future__ import annotations

import uuid
from datetime import datetime

from pydantic import Field

from app.schemas.common import Name, Role, Wire
from app.schemas.users import ROLES, UserTokenCreate


class TokenCreate(UserTokenCreate):
    """A token, of a user that is there or of a new one."""

    user: Name | None = Field(
        default=None,
        description="Name or ID of the user. Without it the token is of the user who has the "
        "token's name, who is made with this role if there is none.",
    )
    role: Role | None = Field(default=None, description=f"Required without `user`. {ROLES}")


class TokenRead(Wire):
    id: uuid.UUID
    name: str
    user_id: uuid.UUID
    user: str
    role: Role = Field(description="What it may do: at most the user's role.")
    project: str | None = Field(description="The one project that it is limited to.")
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    in_force: bool = Field(
        description="Whether it works: not revoked, not expired, and its user is not disabled."
    )


class TokenCreated(TokenRead):
    secret: str = Field(description="Shown this once: only its SHA-256 is kept.")


class TokenList(Wire):
    items: list[TokenRead]
