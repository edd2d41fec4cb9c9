"""Let the layers of an encoder share their weights, factorize its embedding, and train it."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.share_albert import ShareAlbert
from workers.job.context import StageContext, StageResult
from workers.methods.albert import apply_albert
from workers.training.factors.sharing import UNCOUNTED, require_shareable
from workers.training.finetune import count_model, training_labels
from workers.training.model.models import for_training
from workers.training.training_stage import train_and_save


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Share layers and factorize the embedding, train the model, and save it.

    Raises:
        JobError: The model or the data cannot be used, or there is nothing to share.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Lan et al. 2020, ALBERT, section 3.1, arXiv:1909.11942.
    """
    assert isinstance(params, ShareAlbert)
    loaded = for_training(context, training_labels(context), params.seed)
    require_shareable(context, loaded, params)
    facts = apply_albert(loaded.model, params.groups, params.embedding_size, params.start)
    uncounted = () if params.embedding_size is None else UNCOUNTED
    return train_and_save(context, loaded, params, facts=facts, uncounted=uncounted)
