"""Layers of a model that can be skipped: checks, operations of one, and removal."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pricetag.recipes.students import Student
from workers.job.context import StageContext
from workers.job.request import JobError
from workers.training.finetune import count_operations, model_profile, training_labels
from workers.training.formats import registry
from workers.training.model.loaded import Loaded
from workers.training.model.models import for_training, for_use
from workers.training.model.recording import encoder_layers
from workers.training.model.students import student_of


def layered(context: StageContext, seed: int, *, trains: bool) -> tuple[Loaded, dict[str, Any]]:
    """The stage's model, with layers that can be skipped, and their number as a fact.

    Args:
        context: The stage's context.
        seed: Seed of random weights, such as those of a new head.
        trains: Whether the model is trained, so that it may get a new head.

    Raises:
        JobError: The model cannot be used, or ``layers-not-removable``.
    """
    labels = training_labels(context) if trains else None
    loaded = for_training(context, labels, seed) if trains else for_use(context)
    return loaded, {"layers_before": _require_layers(context, loaded)}


def _require_layers(context: StageContext, loaded: Loaded) -> int:
    notes = registry.describe(loaded.model)
    problem = None
    if notes:
        problem = f"the model is {', '.join(notes)}"
    else:
        try:
            count = len(encoder_layers(loaded.model))
        except ValueError as error:
            problem, count = str(error), 0
        if count == 1:
            problem = "the model has one layer"
    if problem is not None:
        raise JobError(
            "layers-not-removable",
            f"{problem}; remove layers of a plain model first",
            context.field,
        )
    return count


def operations_of_a_layer(context: StageContext, loaded: Loaded) -> Callable[[int, float], float]:
    """Operations of one layer's forward pass by the number of tokens and the density.

    They are the difference to the same architecture with one layer fewer.
    """
    shorter = copy.deepcopy(loaded.model.config)
    shorter.num_hidden_layers -= 1
    if getattr(shorter, "layer_types", None):
        shorter.layer_types = shorter.layer_types[:-1]
    full_profile, shorter_profile = (
        model_profile(context, loaded),
        count_operations(context, shorter),
    )
    square, linear = (
        full_profile.square - shorter_profile.square,
        full_profile.linear - shorter_profile.linear,
    )
    return lambda length, density: square * length**2 + density * linear * length


def with_layers(context: StageContext, loaded: Loaded, student: Student, seed: int) -> Loaded:
    """A model with some of the layers, and everything else.

    Raises:
        JobError: ``bad-student`` if there are no such layers.
    """
    shorter_model = student_of(loaded.model, student, seed, f"{context.field}.keep")
    return replace(loaded, model=shorter_model)
