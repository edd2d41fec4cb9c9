"""Quantize a model to 8-bit integers."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.quantize import Quantize
from workers.job.context import StageContext, StageResult
from workers.methods.int8 import apply_int8
from workers.training.finetune import count_model
from workers.training.model.models import for_use
from workers.training.quantization.stage import require_unquantized, save_quantized


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Quantize the current model and save it.

    Raises:
        JobError: The model is untrained, or 8-bit already.

    Source: Zafrir et al. 2019, Q8BERT, section 2, arXiv:1910.06188.
    """
    assert isinstance(params, Quantize)
    loaded = for_use(context)
    before = require_unquantized(context, loaded)
    names = apply_int8(loaded.model, embeddings=params.embeddings)
    facts = {"scheme": params.scheme, "modules": len(names), "embeddings": params.embeddings}
    return save_quantized(context, loaded, before, facts)
