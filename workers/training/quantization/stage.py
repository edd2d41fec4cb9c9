"""Common parts of quantizing stages: checks, the saved model, its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pricetag.recipes.training import FullTraining
from workers.job import ranks
from workers.job.context import StageContext, StageResult
from workers.job.request import JobError
from workers.training import sparsity
from workers.training.cost.tally import Tally
from workers.training.finetune import full_profile, loaded_profile, new_tally, save, training_data
from workers.training.fit import Horizon, fit, forget_checkpoints, report_training
from workers.training.formats import registry
from workers.training.formats.profile import ModelProfile
from workers.training.model.loaded import Loaded
from workers.training.model.models import describe_size
from workers.training.quantization.fake_quant import UNCOUNTED, FakeQuant


def require_unquantized(context: StageContext, loaded: Loaded) -> ModelProfile:
    """The profile of a model that is to be quantized.

    Raises:
        JobError: ``already-quantized``.
    """
    profile = loaded_profile(context, loaded)
    if not profile.trainable:
        formats = " and ".join(profile.formats)
        message = f"the model is already quantized ({formats}); start from the original model"
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
    size = describe_size(folder) if ranks.rank() == 0 else 0
    context.reporter.metric("model_bytes", size, "bytes")
    figures = {
        "runs_on": device,
        "model_bytes": size,
        "encoder_sparsity_before": before.sparsity,
        "encoder_sparsity": after.sparsity,
        **({"speed": "; ".join(speed_notes)} if speed_notes else {}),
    }
    return StageResult(model_folder=folder, facts={**facts, **figures})


def train_quantized(
    context: StageContext,
    loaded: Loaded,
    params: FullTraining,
    fake: FakeQuant,
    convert: Callable[[], Mapping[str, Any]],
    tally: Tally | None = None,
) -> StageResult:
    """Train a model with rounded weights and activations, convert it and save it.

    Args:
        context: The stage's context.
        loaded: The model, trained and converted in place.
        params: The stage's options.
        fake: Rounds in training.
        convert: Converts the trained model, which is on the CPU; returns facts for its card.
        tally: The stage's operations, where some were done before.

    Raises:
        JobError: The model is quantized already, or the data cannot be used.
        Interrupted: A stop was requested; the next attempt resumes from the checkpoint.
    """
    before = require_unquantized(context, loaded)
    zeros = sparsity.decide(context, loaded, params.keep_sparsity)
    outcome = fit(
        context,
        loaded,
        training_data(context, loaded, params.max_length),
        params,
        horizon=Horizon(params.effective_epochs, params.max_steps),
        plugins=[fake, *zeros.plugins],
        tally=tally or new_tally(context, loaded, UNCOUNTED),
    )
    report_training(context, [outcome])
    loaded.model.to("cpu")  # type: ignore[arg-type]
    facts = {**convert(), **outcome.facts()}
    result = save_quantized(context, loaded, before, facts)
    forget_checkpoints(context)
    return result
