"""A stage that trains, changes the sizes of layers by what it has learned, and trains again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import torch

from pricetag.recipes.pruning import Regularized
from workers.job.context import StageContext, StageResult
from workers.training.decisions import decided
from workers.training.fit import Horizon
from workers.training.formats import registry
from workers.training.formats.modules import take_modules
from workers.training.formats.sliced import widen_layer
from workers.training.model.loaded import Loaded
from workers.training.phases import Phase, train_in_phases
from workers.training.plugin import LossTerm, Plugin
from workers.training.structured.groups import report_sizes, sizes_of
from workers.training.structured.units import Units, cut, units_of
from workers.training.tasks.registry import task_of


@dataclass(frozen=True)
class NewSizes:
    """Sizes of the layers, decided once for all ranks and attempts.

    Attributes:
        kept: Heads and neurons that stay.
        sizes: Heads and neurons that each layer gets in all; None: those that stay.
        facts: Further facts for the model's card.
    """

    kept: Units
    sizes: Sequence[tuple[int, int]] | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Resizing:
    """How a stage changes the sizes of its layers.

    Attributes:
        terms: Terms of the loss, beside the task's, of the training before.
        plugins: Plug-ins of that training.
        decide: Decides the sizes, from the model after that training.
        times: How often training and change are repeated.
        fresh: Whether training begins at random weights after a change.
        options: Options of the training before a change.
    """

    terms: Sequence[LossTerm]
    plugins: Sequence[Plugin]
    decide: Callable[[], NewSizes]
    options: Regularized
    times: int = 1
    fresh: bool = False


def resize_and_save(
    context: StageContext, loaded: Loaded, params: Regularized, resizing: Resizing
) -> StageResult:
    """Train, change the sizes of the layers as often as requested, train, and save the model.

    Args:
        context: The stage's context.
        loaded: The model, changed in place.
        params: The stage's options, those of the last training.
        resizing: How the sizes change.

    Raises:
        JobError: The data cannot be used, or the loss is not a finite number.
        Interrupted: A stop was requested; the next attempt resumes in the same phase.
    """
    before, facts = sizes_of(loaded.model), dict[str, Any]()
    task = task_of(context).loss()

    def change(number: int) -> None:
        decision = decided(context, f"sizes-{number}", lambda: asdict(resizing.decide()))
        _apply(loaded, decision, resizing.fresh, params.seed + 1 + number)
        facts.update(decision["facts"] | report_sizes(context, loaded.model, before))

    phases = [
        Phase(
            "structure learning",
            resizing.options,
            Horizon(params.effective_epochs, params.max_steps),
            [task, *resizing.terms],
            resizing.plugins,
            begin=None if number == 0 else partial(change, number - 1),
            changes_modules=True,
        )
        for number in range(resizing.times)
    ]
    last = Phase(
        "retraining",
        params,
        Horizon(params.recovery_epochs),
        [task],
        begin=partial(change, resizing.times - 1),
        changes_modules=True,
    )
    return train_in_phases(context, loaded, params, [*phases, last], facts)


def _apply(loaded: Loaded, choice: Mapping[str, Any], fresh: bool, seed: int) -> None:
    model = loaded.model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        cut(model, units_of(model), Units(**choice["kept"]))
        for number, (heads, neurons) in enumerate(choice["sizes"] or ()):
            widen_layer(model, number, heads, neurons)
        if fresh:
            take_modules(model, registry.skeleton(model.config, registry.describe(model)))
