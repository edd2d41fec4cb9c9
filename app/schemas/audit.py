from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from pydantic import Field

from app.schemas.common import Wire


class AuditRead(Wire):
    """One change that somebody made."""

    id: int
    at: datetime
    user_id: uuid.UUID | None = Field(description="null where no user did it.")
    token_id: uuid.UUID | None = Field(description="null where the service itself did it.")
    actor: str = Field(
        description="The user's name at the time; `service`; or `database`, for changes that "
        "were made to the database without the service.",
        examples=["ada's laptop"],
    )
    access: str = Field(
        description="How: `token`, `direct-database` (a command beside the database, or SQL) or "
        "`service`."
    )
    os_user: str | None = Field(
        description="With direct database access: account of the machine that ran the command."
    )
    action: str = Field(examples=["created", "changed", "closed", "revoked"])
    object_kind: str = Field(examples=["budget", "token", "price"])
    object_id: str
    before: dict[str, Any] | None = Field(description="null where there was nothing before.")
    after: dict[str, Any] | None


class AuditPage(Wire):
    items: list[AuditRead]
    next_cursor: str | None = Field(description="Pass as `cursor` for the next page.")
