"""The registry of stage kinds: each file in ``pricetag.recipes.methods`` with an ``ENTRY``.

A kind may have several methods (``kind: distill`` with ``method: pkd``), each its own entry
(``distill-pkd``); the method that need not be named has the kind's own name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args

from pydantic import Discriminator, Tag

from pricetag.recipes import methods
from pricetag.recipes.base import StageParams
from pricetag.recipes.kinds import GROUPS, RecipeEntry, Traits


def _entries() -> Iterator[RecipeEntry[Any]]:
    for module in pkgutil.iter_modules(methods.__path__):
        entry = importlib.import_module(f"{methods.__name__}.{module.name}").ENTRY
        if entry.file_name != module.name:
            raise ValueError(f"kind '{entry.kind}' belongs in methods/{entry.file_name}.py")
        yield entry


def _place(entry: RecipeEntry[Any]) -> tuple[int, str]:
    return GROUPS.index(entry.traits.group), entry.kind


REGISTRY: dict[str, RecipeEntry[Any]] = {
    entry.kind: entry for entry in sorted(_entries(), key=_place)
}


def kind_of(stage: Mapping[str, Any]) -> str:
    """The kind of a stage of a recipe, by its ``kind`` and ``method``; '' if it has none."""
    kind = str(stage.get("kind", ""))
    named = f"{kind}-{stage.get('method')}"
    return named if named in REGISTRY else kind


def entry_of(stage: Mapping[str, Any]) -> RecipeEntry[Any] | None:
    """The entry of a stage of a recipe; None if this version does not have its kind."""
    return REGISTRY.get(kind_of(stage))


def methods_of(family: str) -> list[str]:
    """The methods of a kind, beginning with the one that need not be named."""
    fields = [
        entry.params.model_fields["method"]
        for entry in REGISTRY.values()
        if entry.family == family and "method" in entry.params.model_fields
    ]
    fields.sort(key=lambda field: field.is_required())
    return [str(get_args(field.annotation)[0]) for field in fields]


def kinds_within(kind: str) -> list[str]:
    """The kinds that a search for a kind finds: itself, and all methods of a kind with several."""
    return [kind, *(name for name, entry in REGISTRY.items() if kind == entry.family != name)]


def _tag(stage: object) -> str | None:
    if isinstance(stage, StageParams):
        return stage.stage_kind()
    if not isinstance(stage, Mapping):
        return None
    kind = kind_of(stage)
    entry = REGISTRY.get(kind)
    # `kind: distill-pkd` is not how a recipe writes it.
    return kind if entry is not None and entry.family == stage["kind"] else None


if TYPE_CHECKING:
    Stage = StageParams
else:
    Stage = Annotated[
        Union[  # noqa: UP007 - built
            tuple(Annotated[entry.params, Tag(kind)] for kind, entry in REGISTRY.items())
        ],
        Discriminator(_tag),
    ]
"""The parameters of any kind, discriminated by ``kind`` and ``method``."""


def traits_of(stage: StageParams) -> Traits[Any]:
    """The traits of a stage's kind."""
    return REGISTRY[stage.stage_kind()].traits


def runs_program(recipe: Mapping[str, Any]) -> bool:
    """Whether a stored recipe runs programs instead of training."""
    stages = recipe.get("stages") or [{}]
    entry = entry_of(stages[0])
    return entry is not None and entry.traits.runs_program


def describe() -> list[dict[str, Any]]:
    """Every stage kind as plain data, for ``GET /v1/recipes`` and ``pricetag recipes``."""
    return [entry.describe() for entry in REGISTRY.values()]
