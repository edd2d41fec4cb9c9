from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from pydantic import Field

from app.schemas.common import Wire


class AuditRead(Wire):
    """One change, with its author."""

    id: int
    at: datetime
    user_id: uuid.UUID | None = Field(description="ID of the user; null without a user.")
    token_id: uuid.UUID | None = Field(
        description="ID of the token; null for changes by the service itself."
    )
    actor: str = Field(
        description="Name of the user at that time; `service`; or `database`, for changes made "
        "directly in the database.",
        examples=["ada's laptop"],
    )
    access: str = Field(
        description="Kind of access: `token`, `direct-database` (a command with access to the "
        "database, or SQL) or `service`."
    )
    os_user: str | None = Field(
        description="Operating system account of the command, for direct database access."
    )
    action: str = Field(examples=["created", "changed", "closed", "revoked"])
    object_kind: str = Field(examples=["budget", "token", "price"])
    object_id: str
    before: dict[str, Any] | None = Field(
        description="Values before the change; null for a new object."
    )
    after: dict[str, Any] | None


class AuditPage(Wire):
    items: list[AuditRead]
    next_cursor: str | None = Field(description="Pass as `cursor` for the next page.")
