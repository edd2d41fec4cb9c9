from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from app.schemas.common import Wire
from app.schemas.fields import Items


class PaperRead(Wire):
    """A publication."""

    citation: str = Field(description="Source to cite: publisher and document.")
    url: str = Field(description="Web address.")


class RecipeRead(Wire):
    """A stage kind: parameters, paper and example."""

    model_config = ConfigDict(from_attributes=True, populate_by_name=True)

    kind: str = Field(description="Name of the stage kind.")
    family: str = Field(description="`kind` in a recipe; several methods may share it.")
    title: str = Field(description="Short title.")
    summary: str = Field(description="What the stage does.")
    paper: PaperRead = Field(description="Publication that the stage follows.")
    parameters: dict[str, Any] = Field(alias="schema", description="JSON schema of the stage.")
    example: dict[str, Any] = Field(description="Example of a stage, ready for a job file.")


class RecipeList(Wire):
    """All stage kinds."""

    items: Items[RecipeRead]
    run_schema: dict[str, Any] = Field(description="JSON schema of the body of POST /v1/runs.")
