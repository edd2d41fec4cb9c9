from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from pydantic import Field

from app.schemas.common import Wire


class NodeRead(Wire):
    id: uuid.UUID
    name: str
    pool: str
    devices: list[Any]
    capabilities: dict[str, Any] = Field(description="What the node can meter and run.")
    created_at: datetime
    last_seen_at: datetime
    running: list[uuid.UUID] = Field(description="Runs with an open attempt on this node.")


class NodeList(Wire):
    items: list[NodeRead]
