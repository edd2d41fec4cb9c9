"""One table for reading and predicting tokens.

Source: Press, Wolf 2017, Using the Output Embedding to Improve Language Models,
doi:10.18653/v1/E17-2025.
"""

from __future__ import annotations

from typing import Literal

from transformers import PreTrainedModel

from workers.training.model.tying import are_tied, tie, untie


def apply_tying(
    model: PreTrainedModel,
    embeddings: Literal["tied", "untied"],
    start: Literal["output", "input", "mean"],
) -> dict[str, int]:
    """Make input and output embeddings one matrix or two, in place; returns facts for the card.

    A model that already is stays unchanged: y = softmax(h U^T + b) with U the output matrix, and U
    = the embedding table in a tied model, which has V x H parameters fewer.

    Args:
        model: A language model, changed in place.
        embeddings: ``tied`` or ``untied``.
        start: See ``tie``.

    Raises:
        ValueError: The model has no output matrix of the shape of its table.

    Source: Press, Wolf 2017, section 3.
    """
    before = model.num_parameters()
    if are_tied(model) != (embeddings == "tied"):
        if embeddings == "tied":
            tie(model, start)
        else:
            untie(model)
    return {"parameters_before": before, "parameters": model.num_parameters()}
