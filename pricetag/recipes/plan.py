"""A recipe as the steps that are carried out, metered and quoted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.evaluate import evaluation_after
from pricetag.recipes.registry import REGISTRY, traits_of
from pricetag.recipes.shapes import MisfitError, Shape


@dataclass(frozen=True, slots=True)
class Planned:
    """One step: a stage of the recipe, or the evaluation that follows it by itself.

    Attributes:
        index: Among the recipe's stages.
        params: Of the step.
        automatic: Whether it is such an evaluation.
        evaluated: Whether such an evaluation follows it.
    """

    index: int
    params: StageParams
    automatic: bool = False
    evaluated: bool = False


def plan(stages: Sequence[StageParams], splits: Iterable[str]) -> list[Planned]:
    """The steps of a recipe, in order.

    Args:
        stages: Of the recipe.
        splits: Of its data.
    """
    named = frozenset(splits)
    steps: list[Planned] = []
    for index, stage in enumerate(stages):
        if not traits_of(stage).evaluates_after or not getattr(stage, "evaluate", False):
            steps.append(Planned(index, stage))
            continue
        steps.append(Planned(index, stage, evaluated=True))
        steps.append(Planned(index, evaluation_after(stage, named), automatic=True))
    return steps


def plan_of_stored(recipe: Mapping[str, Any]) -> list[Planned]:
    """The steps of a stored recipe, which an earlier version may have checked."""
    stages = [REGISTRY[str(stage["kind"])].read(stage) for stage in recipe["stages"]]
    data = recipe.get("data") or {}
    return plan(stages, [name for name, place in data.items() if place is not None])


@dataclass(frozen=True, slots=True)
class Misfit:
    """A model that a stage of the recipe cannot make."""

    field: str  # from the recipe on
    message: str


def misfit(shape: Shape, stages: Sequence[StageParams]) -> Misfit | None:
    """The first stage that the model before it, or its own numbers, make impossible.

    Args:
        shape: Of the model that the run begins with.
        stages: The run's.
    """
    for index, stage in enumerate(stages):
        try:
            shape = traits_of(stage).reshape(stage, shape)
        except MisfitError as error:
            return Misfit(f"stages.{index}.{error.option}", str(error))
    return None


def seeds(stages: Sequence[StageParams]) -> dict[str, int]:
    """The seeds of a run, for its provenance: ``{"stages.0": 7}``.

    A stage with several names each: ``stages.0.data_seed``.
    """
    found: dict[str, int] = {}
    for index, stage in enumerate(stages):
        for option in sorted(traits_of(stage).seeds):
            place = f"stages.{index}" if option == "seed" else f"stages.{index}.{option}"
            found[place] = getattr(stage, option)
    return found
