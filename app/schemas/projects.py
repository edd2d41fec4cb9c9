from __future__ import annotations

from pydantic import Field

from app.schemas.common import Request, Visibility, Wire
from app.schemas.fields import CreatedAt, ExperimentName, Items, NextCursor, ObjectId, ProjectName


class ProjectRead(Wire):
    """A project."""

    id: ObjectId
    name: ProjectName
    description: str = Field(description="Human-readable description.")
    visibility: Visibility = Field(
        description="open: visible to everybody with a token; private: visible to its members "
        "and administrators."
    )
    created_at: CreatedAt
    experiments: int = Field(description="Number of experiments.")
    runs: int = Field(description="Number of runs.")


class ProjectChange(Request):
    """The fields to change; omitted or null fields keep their values."""

    visibility: Visibility | None = Field(
        default=None,
        description="`open`: visible to everybody with a token; `private`: to members only.",
    )
    description: str | None = Field(
        default=None,
        max_length=2000,
        pattern=r"^[^\x00]*$",
        description="New description of the project.",
    )


class ProjectPage(Wire):
    """A page of projects, by name."""

    items: Items[ProjectRead]
    next_cursor: NextCursor


class ExperimentRead(Wire):
    """An experiment of a project."""

    id: ObjectId
    project: ProjectName
    name: ExperimentName
    description: str = Field(description="Human-readable description.")
    created_at: CreatedAt
    runs: int = Field(description="Number of runs.")


class ExperimentPage(Wire):
    """A page of experiments, by project and name."""

    items: Items[ExperimentRead]
    next_cursor: NextCursor
