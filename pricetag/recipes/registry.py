"""The registry of stage kinds: each file in ``pricetag.recipes.methods`` with an ``ENTRY``."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import Field

from pricetag.recipes import methods
from pricetag.recipes.base import StageParams
from pricetag.recipes.kinds import GROUPS, RecipeEntry, Traits


def _entries() -> Iterator[RecipeEntry[Any]]:
    for module in pkgutil.iter_modules(methods.__path__):
        entry = importlib.import_module(f"{methods.__name__}.{module.name}").ENTRY
        if entry.kind != module.name:
            raise ValueError(f"kind '{entry.kind}' belongs in methods/{entry.kind}.py")
        yield entry


def _place(entry: RecipeEntry[Any]) -> tuple[int, str]:
    return GROUPS.index(entry.traits.group), entry.kind


REGISTRY: dict[str, RecipeEntry[Any]] = {
    entry.kind: entry for entry in sorted(_entries(), key=_place)
}

if TYPE_CHECKING:
    Stage = StageParams
else:
    Stage = Annotated[
        Union[tuple(entry.params for entry in REGISTRY.values())],  # noqa: UP007 - built
        Field(discriminator="kind"),
    ]
"""The parameters of any kind, discriminated by ``kind``."""


def traits_of(stage: StageParams) -> Traits[Any]:
    """The traits of a stage's kind."""
    return REGISTRY[stage.kind].traits


def runs_program(recipe: Mapping[str, Any]) -> bool:
    """Whether a stored recipe runs programs instead of training."""
    stages = recipe.get("stages") or [{}]
    entry = REGISTRY.get(str(stages[0].get("kind")))
    return entry is not None and entry.traits.runs_program


def describe() -> list[dict[str, Any]]:
    """Every stage kind as plain data, for ``GET /v1/recipes`` and ``pricetag recipes``."""
    return [entry.describe() for entry in REGISTRY.values()]
