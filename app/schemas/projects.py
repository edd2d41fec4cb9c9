from __future__ import annotations

import uuid
from datetime import datetime

from app.schemas.common import Wire


class ProjectRead(Wire):
    id: uuid.UUID
    name: str
    description: str
    created_at: datetime
    experiments: int
    runs: int


class ProjectPage(Wire):
    items: list[ProjectRead]
    next_cursor: str | None


class ExperimentRead(Wire):
    id: uuid.UUID
    project: str
    name: str
    description: str
    created_at: datetime
    runs: int


class ExperimentPage(Wire):
    items: list[ExperimentRead]
    next_cursor: str | None
