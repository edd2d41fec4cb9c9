"""Parameters of head pruning."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import Field

from pricetag.accounting.forecast.from_history import Work
from pricetag.recipes.kinds import Paper, RecipeEntry, SplitNeed
from pricetag.recipes.shapes import (
    FORMATS_WITH_UNITS,
    MisfitError,
    Shape,
    check_family,
    require_whole_layers,
)
from pricetag.recipes.training import RECOVERY, Recovery, evaluation_splits


class PruneHeads(Recovery):
    """Remove the least important attention heads, in steps, and cut them out of the matrices.

    A head's importance is the mean over examples of |dL / dgate| with a gate of 1 on its output.

    Source: Michel, Levy, Neubig 2019, Are Sixteen Heads Really Better than One?, section 4,
    arXiv:1905.10650.
    """

    kind: Literal["prune"] = "prune"
    method: Literal["heads"]
    share: float = Field(0.5, gt=0, lt=1, description="Share of the attention heads to remove.")
    steps: int = Field(5, ge=1, le=100, description="Number of steps; each takes an equal share.")
    importance: Literal["examples", "tokens"] = Field(
        "examples",
        description="Absolute value of the gate's gradient for each example, or for each token.",
    )
    normalize: bool = Field(True, description="Divide by the L2 norm of the layer's importances.")
    rescore: bool = Field(False, description="Recompute the importances before each step.")
    examples: int | None = Field(
        2048, ge=1, le=10**9, description="Training examples of the importances; null for all."
    )
    floor: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Share of the score on validation that must remain; the step that falls below "
        "is undone, and pruning ends.",
    )
    recovery_epochs: float = Field(
        0.0, ge=0, le=10_000, description="Epochs of recovery after each step; 0 for none."
    )


def _reshape(params: PruneHeads, shape: Shape) -> Shape:
    """Check that some heads leave and one remains in each layer, as far as the shape is known."""
    require_whole_layers(shape)
    shape = shape.of_format("sliced")
    if shape.heads is None or shape.layers is None:
        return shape
    total = shape.heads * shape.layers
    removed = removed_after(params.share, total, params.steps, params.steps)
    problem = None
    if removed == 0:
        problem = f"{params.share} of {total} heads is less than one; use {1 / total:.4f} or more"
    elif removed > total - shape.layers:
        most = (total - shape.layers) / total
        problem = f"one head a layer must remain; use at most {most:.4f} of {total} heads"
    if problem is not None:
        raise MisfitError("share", problem, "wrong-share-of-heads")
    return shape


def removed_after(share: float, total: int, step: int, steps: int) -> int:
    """Number of heads removed after a step, of ``total``: its share, rounded down.

    Args:
        share: Share to be removed after the last step.
        total: Number of heads.
        step: Number of steps done.
        steps: Number of steps.
    """
    return int(share * total * step / steps + 1e-9)


def _splits(params: PruneHeads) -> tuple[SplitNeed, ...]:
    watched = (SplitNeed("validation", "floor"),) if params.floor is not None else ()
    return (SplitNeed("train"), *watched, *evaluation_splits(params))


ENTRY = RecipeEntry(
    params=PruneHeads,
    title="Prune attention heads",
    summary="Cuts the least important attention heads out of the model, in steps.",
    paper=Paper(
        "Michel, Levy, Neubig (2019): Are Sixteen Heads Really Better than One? NeurIPS.",
        "https://arxiv.org/abs/1905.10650",
    ),
    example={
        "kind": "prune",
        "method": "heads",
        "share": 0.5,
        "steps": 1,
        "examples": 8,
        "recovery_epochs": 1,
    },
    traits=replace(
        RECOVERY,
        formats=FORMATS_WITH_UNITS,
        splits=_splits,
        work=lambda params, devices: Work(epochs=params.recovery_epochs * params.steps),
        counts_whole=lambda params: params.steps == 1,
        check_model=check_family,
        reshape=_reshape,
        amount=RECOVERY.amount | {"examples"},
    ),
)
