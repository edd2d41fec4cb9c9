"""Pre-train an encoder by the detection of replaced tokens."""

from __future__ import annotations

from functools import partial

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.pretrain_electra import PretrainElectra
from workers.job.context import StageContext, StageResult
from workers.methods.electra import count, electra_of, terms
from workers.training.model.loaded import encoder_of
from workers.training.model.models import for_training
from workers.training.tasks.masked_lm import TASK, Masking
from workers.training.training_stage import finish, train


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the operations of both models before the stage opens."""
    assert isinstance(params, PretrainElectra)
    count(params, context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train a generator and, on its tokens, the run's model; save the model's encoder.

    Raises:
        JobError: The model or the data cannot be used, or the loss is not a finite number.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Clark, Luong, Le, Manning 2020, section 2, arXiv:2003.10555.
    """
    assert isinstance(params, PretrainElectra)
    loaded = for_training(context, None, params.seed)
    electra = electra_of(params, context, loaded.model)
    masking = Masking(params.predicted, params.masked, 0.0)
    batches, losses = partial(TASK.collator, masking=masking), terms(params, electra)
    facts = train(context, loaded, params, losses=losses, plugins=[electra], batches=batches)
    return finish(context, encoder_of(loaded), {**facts, **electra.facts()})
