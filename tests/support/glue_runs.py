"""Price tags of runs on GLUE with their recipes, made by the real arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pricetag.accounting.bill.inputs import PriceTagInputs, QualityInput, StageInput
from pricetag.recipes import parse_recipe
from pricetag.recipes.glue import GLUE
from pricetag.recipes.plan import plan
from pricetag.tag.glue.runs import GlueRun
from pricetag.tag.view import TagView
from tests.support.price_tags import FACTORS, attempt, stage, tag

Scores = Mapping[str, float | None]
STEP_S = 100.0
INFERENCES = 1000


@dataclass(frozen=True)
class RunOnGlue:
    """A run with its price tag, as the service has stored them."""

    run_id: str
    document: dict[str, Any]
    recipe: dict[str, Any]

    @property
    def run(self) -> GlueRun:
        """The run as the table of GLUE reads it."""
        return GlueRun(TagView.read(self.document), self.recipe)


def quality(task: str, scores: Scores) -> tuple[QualityInput, ...]:
    """The official metrics; ``mismatched`` is MNLI's accuracy on its second development set."""
    figures = []
    for name, value in scores.items():
        mismatched = name == "mismatched"
        reason = "all predictions are of one class" if value is None else None
        figures.append(
            QualityInput(
                "accuracy" if mismatched else name,
                value,
                "validation_mismatched" if mismatched else "validation",
                reason=reason,
            )
        )
    assert {figure.metric for figure in figures} <= set(GLUE[task].metrics)
    return tuple(figures)


def run_on_glue(
    number: int,
    task: str,
    scores: Sequence[Scores],
    *stages: dict[str, Any],
    model: Any = "models/bert-base",
    sparsity: Sequence[float] = (),
) -> RunOnGlue:
    """A run whose steps take 100 s each at 370 W.

    Args:
        number: Makes its ID.
        task: Task of GLUE.
        scores: Scores of each evaluation, in order.
        stages: Stages of its recipe.
        model: The model that it starts from.
        sparsity: What each measure stage found, in order.
    """
    described = {"data": {"glue": task, "path": "glue_data"}, "model": model}
    recipe = parse_recipe(described | {"stages": list(stages or [{"kind": "train"}])})
    evaluations, measures = iter(scores), iter(sparsity)
    made: list[StageInput] = []
    for place, step in enumerate(plan(recipe.stages, recipe.splits())):
        kind = step.params.stage_kind()
        start = place * STEP_S
        figures: tuple[QualityInput, ...] = ()
        if kind == "evaluate":
            figures = quality(task, next(evaluations))
        elif kind == "measure":
            figures = _sizes(next(measures))
        done = stage(len(made), kind, start, start + STEP_S, quality=figures)
        made.append(replace(done, name=step.params.name or kind))
        if kind == "measure":
            inference = stage(len(made), "inference", start + 20, start + 60)
            counted = (QualityInput("inferences", INFERENCES, None),)
            made.append(replace(inference, parent_key=done.key, quality=counted))
    run_id = f"6f0c0d0e-0000-4000-8000-{number:012}"
    inputs = PriceTagInputs(
        run_id=run_id,
        name=f"run {number}",
        version=1,
        attempts=(attempt(1, "succeeded", tuple(made), STEP_S * len(made)),),
        factors=FACTORS,
        accounting_version="1",
    )
    return RunOnGlue(run_id, tag(inputs), recipe.model_dump(mode="json"))


def _sizes(sparsity: float) -> tuple[QualityInput, ...]:
    return (
        QualityInput("parameters", 110_000_000, None),
        QualityInput("encoder_sparsity", sparsity, None),
    )
