"""Convert a model to bf16."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.quantize_bf16 import QuantizeBf16
from workers.job.context import StageContext, StageResult
from workers.methods.half import apply_half
from workers.training.finetune import count_model
from workers.training.model.models import for_use
from workers.training.quantization.stage import require_unquantized, save_quantized


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Convert the current model and save it.

    Raises:
        JobError: The model is untrained, quantized already, or a weight overflows.

    Source: Micikevicius et al. 2018, arXiv:1710.03740; Kalamkar et al. 2019, arXiv:1905.12322.
    """
    assert isinstance(params, QuantizeBf16)
    loaded = for_use(context)
    before = require_unquantized(context, loaded)
    apply_half(loaded.model, params.method, context.field)
    return save_quantized(context, loaded, before, {"scheme": params.method})
