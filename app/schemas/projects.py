from __future__ import annotations

import uuid
from datetime import datetime

from pydantic import Field

from app.schemas.common import Request, Visibility, Wire


class ProjectRead(Wire):
    """A project."""

    id: uuid.UUID
    name: str
    description: str
    visibility: Visibility = Field(
        description="open: visible to everybody with a token; private: visible to its members "
        "and administrators."
    )
    created_at: datetime
    experiments: int
    runs: int


class ProjectChange(Request):
    """The fields to change; omitted or null fields keep their values."""

    visibility: Visibility | None = None
    description: str | None = Field(default=None, max_length=2000, pattern=r"^[^\x00]*$")


class ProjectPage(Wire):
    """A page of projects, by name."""

    items: list[ProjectRead]
    next_cursor: str | None


class ExperimentRead(Wire):
    """An experiment of a project."""

    id: uuid.UUID
    project: str
    name: str
    description: str
    created_at: datetime
    runs: int


class ExperimentPage(Wire):
    """A page of experiments, by project and name."""

    items: list[ExperimentRead]
    next_cursor: str | None
