"""Fine-tune a model with weights of few bits in groups, by layer, and store its integers."""

from __future__ import annotations

from typing import Any

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.quantize_qbert import QuantizeQbert
from workers.job.context import StageContext, StageResult
from workers.methods.qbert import apply_qbert, bits_of_layers, roundings
from workers.training.finetune import count_model
from workers.training.model.models import for_use
from workers.training.quantization.fake_quant import FakeQuant
from workers.training.quantization.stage import train_quantized


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Choose the bits of each layer, train with rounded weights, and save the integer model.

    Raises:
        JobError: The model is untrained or quantized already, or has no known layers.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Shen et al. 2020, Q-BERT, section 3, arXiv:1909.05840.
    """
    assert isinstance(params, QuantizeQbert)
    loaded = for_use(context)
    facts, tally = bits_of_layers(context, loaded, params)
    plan = roundings(loaded.model, params, facts["bits_by_layer"])
    fake = FakeQuant(plan, params.ema_decay)

    def convert() -> dict[str, Any]:
        return {**facts, **apply_qbert(loaded.model, plan, fake.fixed(context.field)[0])}

    return train_quantized(context, loaded, params, fake, convert, tally=tally)
