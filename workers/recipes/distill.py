"""Distill the current model into a smaller student by its logits."""

from __future__ import annotations

from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.distill import Distill
from workers.job.context import StageContext, StageResult
from workers.job.request import JobError
from workers.methods.logits import SoftLabels
from workers.training import sparsity
from workers.training.finetune import count_model, count_operations, save, training_data
from workers.training.fit import Horizon, fit, forget_checkpoints, report_training
from workers.training.model.models import Loaded, for_use, is_final, needed, read_config
from workers.training.model.students import checked_student_config, student_of
from workers.training.tasks.registry import task_of
from workers.training.teacher import teacher_of


def prepare(params: StageParams, context: StageContext) -> None:
    """Count both models' operations before the stage opens."""
    assert isinstance(params, Distill)
    count_model(context)
    teacher = read_config(needed(context))
    field = f"{context.field}.student"
    count_operations(context, checked_student_config(params.student, teacher, field))


def run(params: StageParams, context: StageContext) -> StageResult:
    """Train a student on alpha * labels + (1 - alpha) * teacher, and save it.

    The teacher's own training is an earlier stage of the run, with its own price.

    Raises:
        JobError: the teacher is untrained or 8-bit, or the student does not fit it.
        Interrupted: a stop was asked for; the next attempt goes on from the checkpoint.

    Source: Hinton, Vinyals, Dean 2015, section 2, arXiv:1503.02531.
    """
    assert isinstance(params, Distill)
    teacher = for_use(context)
    if is_final(teacher):
        raise JobError("bad-teacher", "an 8-bit model cannot be distilled", context.field)
    student = student_of(teacher.model, params.student, params.seed, f"{context.field}.student")
    loaded = Loaded(student, teacher.tokenizer, teacher.labels)
    data = training_data(context, loaded, params.max_length)
    zeros = sparsity.decide(context, student, params.keep_sparsity)
    soft = SoftLabels(
        teacher_of(context, teacher, params.precision),
        weight=1 - params.alpha,
        temperature=params.temperature,
    )
    losses = [task_of(context).loss(params.alpha), soft]
    horizon = Horizon(params.effective_epochs, params.max_steps)
    outcome = fit(
        context, loaded, data, params, horizon=horizon, losses=losses, plugins=zeros.plugins
    )
    report_training(context, [outcome])
    facts = {
        **outcome.facts(),
        "teacher_layers": teacher.model.config.num_hidden_layers,
        "student_layers": student.config.num_hidden_layers,
        **zeros.report(context, student),
    }
    folder = save(context, loaded)
    forget_checkpoints(context)
    return StageResult(model_folder=folder, facts=facts)
