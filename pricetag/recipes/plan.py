"""A recipe as a list of steps, which are run, metered and quoted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.evaluate import evaluation_after, with_mismatched
from pricetag.recipes.registry import REGISTRY, kind_of, traits_of
from pricetag.recipes.shapes import MisfitError, Shape, require_stated_formats


@dataclass(frozen=True, slots=True)
class Planned:
    """One step: a stage of the recipe, or the automatic evaluation after it.

    Attributes:
        index: Index in the recipe's stages.
        params: Parameters of the step.
        automatic: Whether it is an automatic evaluation.
        evaluated: Whether an automatic evaluation follows it.
    """

    index: int
    params: StageParams
    automatic: bool = False
    evaluated: bool = False


def plan(stages: Sequence[StageParams], splits: Iterable[str]) -> list[Planned]:
    """The steps of a recipe, in order.

    Args:
        stages: Stages of the recipe.
        splits: Splits of its data.
    """
    named = frozenset(splits)
    steps: list[Planned] = []
    for index, stage in enumerate(stages):
        if not traits_of(stage).evaluates_after or not getattr(stage, "evaluate", False):
            steps.append(Planned(index, with_mismatched(stage, named)))
            continue
        steps.append(Planned(index, stage, evaluated=True))
        after = evaluation_after(stage, named, train_too=traits_of(stage).evaluates_train)
        steps.append(Planned(index, after, automatic=True))
    return steps


def plan_of_stored(recipe: Mapping[str, Any]) -> list[Planned]:
    """The steps of a stored recipe, which may come from an earlier version."""
    stages = [REGISTRY[kind_of(stage)].read(stage) for stage in recipe["stages"]]
    data = recipe.get("data") or {}
    return plan(stages, [name for name, place in data.items() if place is not None])


@dataclass(frozen=True, slots=True)
class Misfit:
    """A stage of the recipe that does not fit its model."""

    field: str  # path within the recipe
    message: str
    code: str = "bad-student"  # of the job's error


def misfit(
    shape: Shape, stages: Sequence[StageParams], students: Mapping[int, Shape] | None = None
) -> Misfit | None:
    """The first stage that is impossible with its input model or its own parameters.

    Args:
        shape: Shape of the run's initial model.
        stages: Stages of the run.
        students: Shapes of the trained students that stages name, by the stage's index, as far
            as known.
    """
    of_run = shape
    for index, stage in enumerate(stages):
        traits, model = traits_of(stage), shape
        student = (students or {}).get(index)
        try:
            shape = traits.reshape(stage, replace(model, of_run=of_run, student=student))
            require_stated_formats(model, stage.stage_kind(), traits.formats or ())
        except MisfitError as error:
            return Misfit(f"stages.{index}.{error.option}", str(error), error.code)
    return None


def seeds(stages: Sequence[StageParams]) -> dict[str, int]:
    """The seeds of a run, for its provenance: ``{"stages.0": 7}``.

    If a stage has several, the key includes the option: ``stages.0.order_seed``.
    """
    seed_by_place: dict[str, int] = {}
    for index, stage in enumerate(stages):
        for option in sorted(traits_of(stage).seeds):
            place = f"stages.{index}" if option == "seed" else f"stages.{index}.{option}"
            if (seed := getattr(stage, option)) is not None:
                seed_by_place[place] = seed
    return seed_by_place
