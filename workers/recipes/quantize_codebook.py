"""Let the weights of each matrix share a few values, and fine-tune these."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.quantize_codebook import QuantizeCodebook
from workers.job.context import StageContext, StageResult
from workers.methods.codebook import with_codebooks
from workers.training.finetune import count_model
from workers.training.fit import forget_checkpoints
from workers.training.model.models import for_use
from workers.training.quantization.stage import require_unquantized, save_quantized
from workers.training.recovery import recover


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Cluster the weights of the current model, fine-tune the shared values, and save them.

    Raises:
        JobError: The model is untrained, or quantized already.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.

    Source: Han, Mao, Dally 2016, section 3, arXiv:1510.00149.
    """
    assert isinstance(params, QuantizeCodebook)
    loaded = for_use(context)
    before = require_unquantized(context, loaded)
    shared = with_codebooks(loaded.model, params, before.density)
    facts = recover(context, loaded, params, uncounted=("k-means",), plugins=[shared])
    shared.convert(loaded.model.to("cpu"))  # type: ignore[arg-type]
    options = {"scheme": params.method, "embeddings": params.embeddings}
    facts |= {**options, "modules": len(shared.labels)}
    result = save_quantized(context, loaded, before, facts)
    forget_checkpoints(context)
    return result
