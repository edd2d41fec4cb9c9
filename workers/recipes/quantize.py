"""Quantize a model to 8-bit integers."""

from __future__ import annotations

from pricetag.recipes.stages import Quantize, StageParams
from workers.job.context import StageContext, StageResult
from workers.job.request import JobError
from workers.training.formats import quantized
from workers.training.formats.pruning import encoder_density
from workers.training.model.models import Loaded, describe_size, for_use


def apply_int8(loaded: Loaded, *, embeddings: bool) -> list[str]:
    """Give every Linear (and Embedding) of a model 8-bit weights, in place.

    Symmetric per row (S = max|r| / 127, Z = 0), so pruned weights stay exactly zero;
    activations are quantized as they come.

    Returns:
        The names of the modules that were replaced.

    Source: Zafrir et al. 2019, Q8BERT, section 2, arXiv:1910.06188.
    """
    return quantized.convert(loaded.model, embeddings=embeddings)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Quantize the current model and save it.

    Raises:
        JobError: the model is untrained, or 8-bit already.

    Source: Zafrir et al. 2019, Q8BERT, section 2, arXiv:1910.06188.
    """
    assert isinstance(params, Quantize)
    loaded = for_use(context)
    if quantized.int8_modules(loaded.model):
        raise JobError("already-quantized", "the model has 8-bit weights already", context.field)
    density = encoder_density(loaded.model)
    names = apply_int8(loaded, embeddings=params.embeddings)
    if context.job.device == "cuda":
        context.reporter.log("int8_dynamic has no CUDA kernel: the model runs on the CPU")
    folder = context.model_folder
    quantized.save(loaded.model, folder)
    loaded.tokenizer.save_pretrained(folder)
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
