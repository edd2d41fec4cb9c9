"""Checks of a model before its layers share weights or its embedding is factorized."""

from __future__ import annotations

from pricetag.accounting.work.low_rank import largest_rank
from pricetag.recipes.methods.share_albert import ShareAlbert, above_limit
from workers.job.context import StageContext
from workers.job.request import JobError
from workers.training.formats import registry
from workers.training.formats.factorized_embedding import word_embedding
from workers.training.model.loaded import Loaded
from workers.training.model.recording import encoder_layers

UNCOUNTED = ("singular value decomposition of the embedding",)


def require_shareable(context: StageContext, loaded: Loaded, params: ShareAlbert) -> None:
    """Reject a model that has no layers to share or no table to factorize.

    Raises:
        JobError: ``nothing-to-share`` or ``rank-above-limit``.
    """
    notes = registry.describe(loaded.model)
    if notes:
        raise JobError(
            "nothing-to-share",
            f"the model is {', '.join(notes)}; share the layers of a plain model first",
            context.field,
        )
    try:
        if params.groups is not None and params.groups > (
            layers := len(encoder_layers(loaded.model))
        ):
            raise JobError(
                "nothing-to-share",
                f"the model has {layers} layers, not {params.groups} or more",
                f"{context.field}.groups",
            )
        if params.embedding_size is not None:
            _require_saving(context, word_embedding(loaded.model)[1].weight.shape, params)
    except ValueError as error:
        raise JobError("nothing-to-share", str(error), context.field) from error


def _require_saving(context: StageContext, shape: tuple[int, ...], params: ShareAlbert) -> None:
    size, limit = params.embedding_size, largest_rank(*shape)
    if size is not None and size > limit:
        raise JobError(
            "rank-above-limit", above_limit(size, limit), f"{context.field}.embedding_size"
        )
