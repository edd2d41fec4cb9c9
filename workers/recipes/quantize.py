"""Quantize a model to 8-bit integers."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.quantize import Quantize
from workers.job.context import StageContext, StageResult
from workers.job.request import JobError
from workers.methods.int8 import apply_int8
from workers.training.formats.sparse import encoder_density
from workers.training.model.models import describe_size, for_use, is_final, save


def run(params: StageParams, context: StageContext) -> StageResult:
    """Quantize the current model and save it.

    Raises:
        JobError: the model is untrained, or 8-bit already.

    Source: Zafrir et al. 2019, Q8BERT, section 2, arXiv:1910.06188.
    """
    assert isinstance(params, Quantize)
    loaded = for_use(context)
    if is_final(loaded):
        raise JobError("already-quantized", "the model has 8-bit weights already", context.field)
    density = encoder_density(loaded.model)
    names = apply_int8(loaded.model, embeddings=params.embeddings)
    if context.job.device == "cuda":
        context.reporter.log("int8_dynamic has no CUDA kernel: the model runs on the CPU")
    folder = context.model_folder
    save(loaded, folder)
    size = describe_size(folder)
    context.reporter.metric("model_bytes", size, "bytes")
    return StageResult(
        model_folder=folder,
        facts={
            "scheme": params.scheme,
            "modules": len(names),
            "embeddings": params.embeddings,
            "runs_on": "cpu",
            "model_bytes": size,
            "encoder_sparsity_before": 1 - density,
            "encoder_sparsity": 1 - encoder_density(loaded.model),
        },
    )
