"""Store a model's weights as integers of few bits."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.quantize_weight_only import QuantizeWeightOnly
from workers.job.context import StageContext, StageResult
from workers.methods.weight_only import apply_weight_only
from workers.training.finetune import count_model
from workers.training.model.models import for_use
from workers.training.quantization.stage import require_unquantized, save_quantized


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Quantize the weights of the current model and save it.

    Raises:
        JobError: The model is untrained, or quantized already.

    Source: Dettmers, Zettlemoyer 2023, arXiv:2212.09720.
    """
    assert isinstance(params, QuantizeWeightOnly)
    loaded = for_use(context)
    before = require_unquantized(context, loaded)
    names = apply_weight_only(
        loaded.model, params.bits, params.column_size, with_embeddings=params.embeddings
    )
    facts = {"scheme": f"int{params.bits}_weight_only", "modules": len(names)}
    return save_quantized(context, loaded, before, {**facts, "embeddings": params.embeddings})
