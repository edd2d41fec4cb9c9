"""Training in which a compressed model recovers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pricetag.recipes.training import Recovery
from workers.job.context import StageContext
from workers.training.finetune import new_tally, training_data
from workers.training.fit import Horizon, fit, report_training
from workers.training.model.loaded import Loaded
from workers.training.plugin import Plugin


def recover(
    context: StageContext,
    loaded: Loaded,
    options: Recovery,
    *,
    uncounted: Sequence[str] = (),
    plugins: Sequence[Plugin] = (),
) -> dict[str, Any]:
    """Train a compressed model in place; returns facts for its card.

    Args:
        context: The stage's context.
        loaded: The model.
        options: Options of the training, with its epochs.
        uncounted: Work of the compression itself whose operations are not counted.
        plugins: Techniques that take part.

    Raises:
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.
    """
    if options.recovery_epochs == 0:
        return {}
    outcome = fit(
        context,
        loaded,
        training_data(context, loaded, options.max_length),
        options,
        horizon=Horizon(options.recovery_epochs),
        plugins=plugins,
        tally=new_tally(context, loaded, uncounted),
    )
    report_training(context, [outcome])
    return outcome.facts()
