"""A model that an earlier run has published."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from pricetag.recipes.base import Name, Params


class FromRun(Params):
    """The model that a stage of an earlier run has left, by its artifact's SHA-256.

    The server looks it up when the run is posted; the worker checks the files before use.
    """

    run: Annotated[UUID, Field(strict=False)] = Field(description="ID of the earlier run.")
    stage: Name | None = Field(
        None,
        description="Name of the stage that made the model, as the run shows it. "
        "Without it the run must have published exactly one model.",
    )
