"""Checks of a model before its input and output embeddings become one matrix or two."""

from __future__ import annotations

from pricetag.recipes.methods.share_tied_embeddings import ShareTiedEmbeddings
from workers.job.context import StageContext
from workers.job.request import JobError
from workers.training.formats import registry
from workers.training.model.loaded import Loaded
from workers.training.model.models import needed
from workers.training.model.tying import are_tied


def require_tables(context: StageContext, loaded: Loaded, params: ShareTiedEmbeddings) -> None:
    """Reject a model whose embeddings cannot be tied or untied, or are so already.

    A model with random weights may be created as the stage requires.

    Raises:
        JobError: ``nothing-to-share``.
    """
    notes = registry.describe(loaded.model)
    if notes:
        raise JobError(
            "nothing-to-share",
            f"the model is {', '.join(notes)}; tie the embeddings of a plain model first",
            context.field,
        )
    try:
        tied = are_tied(loaded.model)
    except ValueError as error:
        raise JobError("nothing-to-share", str(error), context.field) from error
    if needed(context).scratch is None and tied == (params.embeddings == "tied"):
        one_or_two = "one matrix" if tied else "two matrices"
        other = "untied" if tied else "tied"
        raise JobError(
            "nothing-to-share",
            f"the input and output embeddings of the model are already {one_or_two}; use "
            f"embeddings: {other}, or train the model as it is",
            f"{context.field}.embeddings",
        )
