"""Quantize a model to 8-bit integers with calibrated activations."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.quantize_int8_static import QuantizeInt8Static
from workers.job.context import StageContext, StageResult
from workers.methods.int8_static import apply_int8_static
from workers.training.finetune import count_model
from workers.training.formats.integers import linears
from workers.training.model.models import for_use
from workers.training.quantization.calibration import calibrated_ranges
from workers.training.quantization.stage import require_unquantized, save_quantized


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Observe the activations on training examples, quantize the current model and save it.

    Raises:
        JobError: The model is untrained, quantized already, or does not use one of its layers.
        Interrupted: A stop was requested; the next attempt observes again.

    Source: Jacob et al. 2018, sections 2.1 and 3, doi:10.1109/CVPR.2018.00286.
    """
    assert isinstance(params, QuantizeInt8Static)
    loaded = for_use(context)
    before = require_unquantized(context, loaded)
    ranges, count = calibrated_ranges(context, loaded, linears(loaded.model), params)
    names = apply_int8_static(loaded.model, ranges, embeddings=params.embeddings)
    facts = {"scheme": params.method, "modules": len(names), "embeddings": params.embeddings}
    return save_quantized(context, loaded, before, {**facts, "calibration_examples": count})
