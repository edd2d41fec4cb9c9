from __future__ import annotations

import uuid
from typing import Any, Literal

from pydantic import Field

from app.schemas.common import Wire
from app.schemas.fields import EventTime, Items

AuditKind = Literal[
    "budget",
    "carbon_forecast",
    "carbon_series",
    "factor",
    "member",
    "price",
    "project",
    "run",
    "session",
    "share",
    "sign_in_link",
    "site",
    "token",
    "user",
]
"""Kind of a changed object."""

AuditAction = Literal[
    "changed",
    "closed",
    "created",
    "deleted",
    "fetched",
    "imported",
    "repriced",
    "resumed",
    "revoked",
]
"""What was done with an object."""

AuditAccess = Literal["token", "session", "direct-database", "service"]
"""How the author of a change got access."""


class AuditRead(Wire):
    """One change, with its author."""

    id: int = Field(description="Number of the entry; later entries have higher numbers.")
    at: EventTime
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
        description="Kind of access: `token`, `session` (a browser), `direct-database` (a command "
        "with access to the database, or SQL) or `service`."
    )
    os_user: str | None = Field(
        description="Operating system account of the command, for direct database access."
    )
    action: str = Field(
        examples=["created", "changed", "closed", "revoked"],
        description="Change that was made, e.g. `created`, `changed` or `revoked`.",
    )
    object_kind: str = Field(
        examples=["budget", "token", "price"],
        description="Kind of the changed object, e.g. `budget`, `factor` or `run`.",
    )
    object_id: str = Field(
        description="ID of the object, or its name if it has none; `PROJECT/USER` of a member."
    )
    before: dict[str, Any] | None = Field(
        description="Values before the change; null for a new object."
    )
    after: dict[str, Any] | None = Field(
        description="Values after the change; null if the object is gone."
    )
    names: dict[str, str] = Field(
        default_factory=dict,
        description="Current names of the users, tokens, projects, experiments, budgets and runs "
        "whose IDs are in `object_id`, `before` or `after`, by ID.",
    )


class AuditPage(Wire):
    """A page of the audit log, newest first."""

    items: Items[AuditRead]
    next_cursor: str | None = Field(description="Pass as `cursor` for the next page.")
