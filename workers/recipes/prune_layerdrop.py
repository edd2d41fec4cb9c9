"""Train an encoder with layers that are skipped at random, then remove some of its layers."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.prune_layerdrop import PruneLayerdrop
from workers.job.context import StageContext, StageResult
from workers.methods.layerdrop import LayerDrop
from workers.training.finetune import count_model
from workers.training.layers import layered, operations_of_a_layer, with_layers
from workers.training.training_stage import finish, train


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train with LayerDrop, remove layers, and save the model.

    Raises:
        JobError: The model or the data cannot be used, or the model has no such layers.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Fan, Grave, Joulin 2020, section 3, arXiv:1909.11556.
    """
    assert isinstance(params, PruneLayerdrop)
    loaded, facts = layered(context, params.seed, trains=params.epochs != 0)
    if params.epochs != 0:
        drop = LayerDrop(params.p, operations_of_a_layer(context, loaded))
        facts |= train(context, loaded, params, plugins=[drop])
    if params.kept is not None:
        loaded = with_layers(context, loaded, params.kept, params.seed)
    facts["layers_left"] = loaded.model.config.num_hidden_layers
    return finish(context, loaded, facts)
