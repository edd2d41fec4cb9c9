from __future__ import annotations

import uuid
from datetime import datetime

from pydantic import Field

from app.schemas.common import Role, StoredName, Wire
from app.schemas.fields import CreatedAt, Items, ObjectId
from app.schemas.users import ROLES, UserTokenCreate


class TokenCreate(UserTokenCreate):
    """A token of an existing or of a new user."""

    user: StoredName | None = Field(
        default=None,
        description="Name or ID of the user. Default: the user with the token's name, who is "
        "created with this role if missing.",
    )
    role: Role | None = Field(default=None, description=f"Required without `user`. {ROLES}")


class TokenRead(Wire):
    """A token without its secret."""

    id: ObjectId
    name: str = Field(description="Purpose of the token.")
    user_id: uuid.UUID = Field(description="ID of the user.")
    user: str = Field(description="Name of the user.")
    role: Role = Field(description="Role of the token, at most the user's role.")
    project: str | None = Field(description="Project that the token is limited to.")
    created_at: CreatedAt
    expires_at: datetime | None = Field(
        description="Expiry (UTC); null if the token does not expire."
    )
    last_used_at: datetime | None = Field(
        description="Time of the latest request with the token (UTC); null if it was never used."
    )
    revoked_at: datetime | None = Field(
        description="Time at which the token was revoked (UTC); null if it was not."
    )
    in_force: bool = Field(
        description="Whether it is neither revoked nor expired, and its user is not disabled."
    )


class TokenCreated(TokenRead):
    """A new token with its secret."""

    secret: str = Field(description="The token itself, shown only once: its SHA-256 is stored.")


class TokenList(Wire):
    """Tokens without their secrets."""

    items: Items[TokenRead]
