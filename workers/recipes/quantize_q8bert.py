"""Fine-tune a model with 8-bit weights and activations, and store it in 8 bits."""

from __future__ import annotations

from typing import Any

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.quantize_q8bert import QuantizeQ8bert
from workers.job.context import StageContext, StageResult
from workers.methods.q8bert import apply_q8bert, roundings
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

    Source: Zafrir et al. 2019, Q8BERT, section 2, arXiv:1910.06188.
    """
    assert isinstance(params, QuantizeQ8bert)
    loaded = for_use(context)
    fake = FakeQuant(roundings(loaded.model), params.ema_decay)

    def convert() -> dict[str, Any]:
        names = apply_q8bert(loaded.model, *fake.fixed(context.field))
        return {"scheme": params.method, "modules": len(names), "embeddings": True}

    return train_quantized(context, loaded, params, fake, convert)
