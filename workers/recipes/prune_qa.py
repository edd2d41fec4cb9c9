"""Cut heads and neurons out of a question-answering model, and retrain it."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.prune_qa import PruneQa
from workers.job.context import StageContext, StageResult
from workers.methods.logits import SoftLabels
from workers.methods.qa import criterion
from workers.training.distillation import unchanged_teacher
from workers.training.finetune import count_model
from workers.training.model.models import for_use
from workers.training.structured.stage import UnitStage
from workers.training.tasks.registry import task_of
from workers.training.training_stage import finish


def prepare(params: StageParams, context: StageContext) -> None:
    """Count the model's operations before the stage opens."""
    count_model(context)


def run(params: StageParams, context: StageContext) -> StageResult:
    """Choose heads and neurons, cut the others out, retrain, and save the model.

    Raises:
        JobError: The model is untrained or 8-bit, or nothing of it can be cut out.
        Interrupted: A stop was requested; the next attempt resumes in the same training.

    Source: McCarley, Chakravarti, Sil 2019, section 3, arXiv:1910.06360.
    """
    assert isinstance(params, PruneQa)
    loaded, task = for_use(context), task_of(context)
    stage = UnitStage(context, loaded, params, [task.loss(params.weight_of_labels)])
    if params.distill:
        teacher, weight = unchanged_teacher(context, loaded, params), 1 - params.weight_of_labels
        stage.losses.append(SoftLabels(teacher, weight, params.softness, task.choices))
    return finish(context, loaded, stage.carry_out(*criterion(params, stage)))
