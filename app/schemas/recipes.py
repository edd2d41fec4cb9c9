from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from app.schemas.common import Wire


class PaperRead(Wire):
    """A publication."""

    citation: str
    url: str


class RecipeRead(Wire):
    """A stage kind: parameters, paper and example."""

    model_config = ConfigDict(from_attributes=True, populate_by_name=True)

    kind: str
    family: str = Field(description="`kind` in a recipe; several methods may share it.")
    title: str
    summary: str
    paper: PaperRead
    parameters: dict[str, Any] = Field(alias="schema", description="JSON schema of the stage.")
    example: dict[str, Any]


class RecipeList(Wire):
    """All stage kinds."""

    items: list[RecipeRead]
    run_schema: dict[str, Any] = Field(description="JSON schema of the body of POST /v1/runs.")
