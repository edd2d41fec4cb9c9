"""The stage kinds of recipes."""

from __future__ import annotations

from functools import cache

from app.schemas.recipes import RecipeList, RecipeRead
from pricetag.recipes import RunSpec, describe


@cache
def list_recipes() -> RecipeList:
    """Every stage kind with its JSON schema, paper and example."""
    return RecipeList(
        items=[RecipeRead.model_validate(entry) for entry in describe()],
        run_schema=RunSpec.model_json_schema(),
    )
