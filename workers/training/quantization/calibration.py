"""Ranges of activations, observed while a model computes some training examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from pricetag.recipes.methods.quantize_int8_static import QuantizeInt8Static
from workers.job.context import StageContext
from workers.job.request import JobError
from workers.training.finetune import loaded_profile, training_data
from workers.training.formats.exits import all_layers
from workers.training.forward_pass import MODEL_INPUTS
from workers.training.model.loaded import Loaded
from workers.training.prediction import Predictions
from workers.training.tasks.registry import task_of

Observer = Literal["min_max", "moving_average"]
NEW_SHARE = 0.01
"""Weight of a new batch in a moving average, as in torch's observer."""


@dataclass
class Extremes:
    """Smallest and largest value of an activation over batches.

    Source: Krishnamoorthi 2018, Quantizing deep convolutional networks, section 3.1.1,
    arXiv:1806.08342.
    """

    observer: Observer
    lowest: float | None = None
    highest: float | None = None

    def add(self, values: torch.Tensor) -> None:
        """Add a batch's values; the first batch fills."""
        low, high = (float(end) for end in torch.aminmax(values.detach().float()))
        if self.lowest is None or self.highest is None:
            self.lowest, self.highest = low, high
        elif self.observer == "min_max":
            self.lowest, self.highest = min(self.lowest, low), max(self.highest, high)
        else:
            self.lowest += NEW_SHARE * (low - self.lowest)
            self.highest += NEW_SHARE * (high - self.highest)


@contextmanager
def observed_inputs(
    model: nn.Module, names: Sequence[str], observer: Observer
) -> Iterator[dict[str, Extremes]]:
    """The extremes of the inputs of some modules in the forward passes inside."""
    extremes = {name: Extremes(observer) for name in names}

    def watch(each: Extremes) -> Any:
        return lambda module, arguments: each.add(arguments[0])

    hooks = [
        model.get_submodule(name).register_forward_pre_hook(watch(each))
        for name, each in extremes.items()
    ]
    try:
        yield extremes
    finally:
        for hook in hooks:
            hook.remove()


def calibrated_ranges(
    context: StageContext, loaded: Loaded, names: Sequence[str], params: QuantizeInt8Static
) -> tuple[dict[str, tuple[float, float]], int]:
    """Ranges of the inputs of some layers, and the number of examples that they come from.

    Raises:
        JobError: ``no-activations`` for a layer that the examples do not use; the training split
            cannot be read, or does not fit the model.
        Interrupted: A stop was requested.
    """
    with observed_inputs(loaded.model, names, params.observer) as extremes:
        count = run_examples(
            context,
            loaded,
            examples=params.calibration_examples,
            batch_size=params.batch_size,
            max_length=params.max_length,
        )
    loaded.model.to("cpu")  # type: ignore[arg-type]
    return seen_extremes(extremes, context.field), count


def spread_rows(total: int, count: int) -> list[int]:
    """``count`` of ``total`` rows (or all), spread evenly over them."""
    count = min(total, count)
    return [number * total // count for number in range(count)]


def run_examples(
    context: StageContext, loaded: Loaded, *, examples: int, batch_size: int, max_length: int
) -> int:
    """Compute training examples, spread evenly over the split, and report their operations.

    Args:
        context: The stage's context.
        loaded: The model.
        examples: Maximum number of examples.
        batch_size: Examples of a batch.
        max_length: Maximum number of tokens of an example.

    Returns:
        The number of computed examples.

    Raises:
        JobError: The training split cannot be read, or does not fit the model.
        Interrupted: A stop was requested.
    """
    data = training_data(context, loaded, max_length)
    collate = task_of(context).collator(loaded, seed=0)
    profile = loaded_profile(context, loaded)
    device = torch.device(context.job.device)
    model: nn.Module = loaded.model
    model.to(device).train(False)
    rows = sorted(spread_rows(len(data), examples), key=data.lengths.__getitem__)
    computed = Predictions()
    for start in range(0, len(rows), batch_size):
        batch = collate([data[row] for row in rows[start : start + batch_size]])
        inputs = {k: v.to(device) for k, v in batch.items() if k in MODEL_INPUTS}
        with torch.inference_mode(), all_layers(model):
            model(**inputs)
        computed.add(model, *inputs["input_ids"].shape)
        context.reporter.progress(start + len(inputs["input_ids"]), len(rows), "examples")
        context.stop_if_asked()
    context.reporter.flops(
        computed.forward_flops(profile.flops, exits=profile.exits),
        computed.forward_flops(profile.flops, profile.density, profile.exits),
        0.0,
        profile.flops.method,
        [*profile.flops.uncounted, "ranges of activations"],
    )
    return len(rows)


def seen_extremes(extremes: Mapping[str, Extremes], field: str) -> dict[str, tuple[float, float]]:
    """Smallest and largest value of each activation.

    Raises:
        JobError: ``no-activations`` if the forward passes did not use a layer.
    """
    seen = {}
    for name, each in extremes.items():
        if each.lowest is None or each.highest is None:
            raise JobError(
                "no-activations",
                f"the examples do not use the layer {name}, so that its range is unknown; use "
                "method: int8_dynamic",
                field,
            )
        seen[name] = (each.lowest, each.highest)
    return seen
