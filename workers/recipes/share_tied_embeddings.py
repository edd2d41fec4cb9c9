"""Tie the input and output embeddings of a language model, and train it."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.share_tied_embeddings import ShareTiedEmbeddings
from workers.job.context import StageContext, StageResult
from workers.methods.tied_embeddings import apply_tying
from workers.training.factors.tying import require_tables
from workers.training.finetune import count_model
from workers.training.model.models import for_training
from workers.training.training_stage import train_and_save


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Make input and output embeddings one matrix, train the model, and save it.

    Raises:
        JobError: The model has no such matrices, or they are so already.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Press, Wolf 2017, section 3, doi:10.18653/v1/E17-2025.
    """
    assert isinstance(params, ShareTiedEmbeddings)
    loaded = for_training(context, None, params.seed)
    require_tables(context, loaded, params)
    facts = apply_tying(loaded.model, params.embeddings, params.first_table)
    return train_and_save(context, loaded, params, facts=facts)
