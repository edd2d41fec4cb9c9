"""What a stage that quantizes does before and after: checks, the saved model, its figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.job.context import StageContext, StageResult
from workers.job.request import JobError
from workers.training.finetune import full_profile, loaded_profile, save
from workers.training.formats import registry
from workers.training.formats.profile import ModelProfile
from workers.training.model.loaded import Loaded
from workers.training.model.models import describe_size


def require_unquantized(context: StageContext, loaded: Loaded) -> ModelProfile:
    """The profile of a model that is to be quantized.

    Raises:
        JobError: ``already-quantized``.
    """
    profile = loaded_profile(context, loaded)
    if not profile.trainable:
        formats = " and ".join(profile.formats)
        message = f"the model is quantized already ({formats}); start from the one before"
        raise JobError("already-quantized", message, context.field)
    return profile


def save_quantized(
    context: StageContext, loaded: Loaded, before: ModelProfile, facts: Mapping[str, Any]
) -> StageResult:
    """Save a quantized model; report its size, where it runs, its speed and its sparsity.

    Args:
        context: The stage's context.
        loaded: The quantized model.
        before: Profile of the model that it was made from.
        facts: Further facts for the card of the model.
    """
    after = full_profile(context, loaded)
    device = "cpu" if after.only_on_cpu else context.job.device
    if device != context.job.device:
        context.reporter.log(f"{facts['scheme']} has no CUDA kernel: the model runs on the CPU")
    speed_notes = registry.speed_notes(registry.describe(loaded.model), device)
    for note in speed_notes:
        context.reporter.log(note)
    folder = save(context, loaded)
    size = describe_size(folder)
    context.reporter.metric("model_bytes", size, "bytes")
    figures = {
        "runs_on": device,
        "model_bytes": size,
        "encoder_sparsity_before": before.sparsity,
        "encoder_sparsity": after.sparsity,
        **({"speed": "; ".join(speed_notes)} if speed_notes else {}),
    }
    return StageResult(model_folder=folder, facts={**facts, **figures})
