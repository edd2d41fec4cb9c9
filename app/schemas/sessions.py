"""Browser sessions on the wire."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Literal

from pydantic import Field

from app.schemas.common import Wire
from app.schemas.fields import CreatedAt, Items, NextCursor, ObjectId


class SessionRead(Wire):
    """A signed-in browser."""

    id: ObjectId
    user: str = Field(description="Name of the user.")
    user_id: uuid.UUID = Field(description="ID of the user.")
    method: Literal["link", "token", "oidc", "proxy"] = Field(
        description="How the session began: by a one-time link, an API token, the identity "
        "provider, or a proxy."
    )
    browser: str | None = Field(description="The browser's own name; null if it sent none.")
    created_at: CreatedAt
    last_used_at: datetime = Field(description="Time of the last request (UTC), to the minute.")
    expires_at: datetime = Field(description="Time at which the session ends at the latest (UTC).")
    current: bool = Field(description="Whether it is the session of this request.")


class SessionPage(Wire):
    """A page of signed-in browsers, newest session first."""

    items: Items[SessionRead]
    next_cursor: NextCursor
