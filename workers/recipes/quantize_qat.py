"""Train a model with rounded weights and activations, and store its integers."""

from __future__ import annotations

from typing import Any

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.quantize_qat import QuantizeQat
from workers.job.context import StageContext, StageResult
from workers.methods.qat import apply_qat, roundings
from workers.training.finetune import count_model
from workers.training.model.models import for_use
from workers.training.quantization.fake_quant import FakeQuant
from workers.training.quantization.stage import train_quantized


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train the current model with rounded weights and activations, convert it and save it.

    Raises:
        JobError: The model is untrained, or quantized already.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Jacob et al. 2018, section 3, doi:10.1109/CVPR.2018.00286.
    """
    assert isinstance(params, QuantizeQat)
    loaded = for_use(context)
    fake = FakeQuant(plan := roundings(loaded.model, params), params.ema_decay)

    def convert() -> dict[str, Any]:
        names = apply_qat(loaded.model, plan, fake.fixed(context.field)[0])
        options = params.model_dump(include={"embeddings", "activations"})
        return {"scheme": f"int{params.bits}_qat", "modules": len(names), **options}

    return train_quantized(context, loaded, params, fake, convert)
