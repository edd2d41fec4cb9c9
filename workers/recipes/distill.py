"""Distil the current model into a smaller student by its logits."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from pricetag.recipes.stages import Distill, StageParams
from workers.job.context import StageContext, StageResult
from workers.job.request import JobError
from workers.training.cost.flops import FlopProfile
from workers.training.data.texts import load_split
from workers.training.finetune import count_operations, fit, model_profile, report_training, save
from workers.training.formats.quantized import int8_modules
from workers.training.loop import Length, forget_checkpoints
from workers.training.losses import TaskLoss
from workers.training.model import precision
from workers.training.model.models import Loaded, for_use, needed, read_config
from workers.training.model.students import LayerSelection, student_config
from workers.training.plugins import LossInputs, LossTerm


def soft_loss(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """T^2 * KL(teacher_T || student_T), mean over the batch; logits ``[batch, classes]``.

    T^2 keeps the size of the gradient when the temperature changes. With one output (a
    score) it is the mean squared error to the teacher.

    Source: Hinton, Vinyals, Dean 2015, section 2, arXiv:1503.02531.
    """
    if student.shape[-1] == 1:
        return functional.mse_loss(student, teacher)
    divergence = functional.kl_div(
        functional.log_softmax(student / temperature, dim=-1),
        functional.log_softmax(teacher / temperature, dim=-1),
        reduction="batchmean",
        log_target=True,
    )
    return temperature**2 * divergence


class SoftLabels(LossTerm):
    """The teacher's answers. Each example's are computed once and kept for later epochs."""

    def __init__(
        self,
        teacher: nn.Module,
        *,
        weight: float,
        temperature: float,
        examples: int,
        classes: int,
        precision_: precision.Precision,
        profile: FlopProfile,
    ) -> None:
        self.weight = weight
        self._teacher = teacher
        self._temperature = temperature
        self._precision = precision_
        self._profile = profile
        self._known = torch.zeros(examples, dtype=torch.bool)
        self._logits = torch.empty((examples, classes))
        self._asked = False

    def value(self, inputs: LossInputs) -> torch.Tensor:
        """See ``LossTerm.value``."""
        teacher = self._answers(inputs).to(inputs.logits.device)
        return soft_loss(inputs.logits, teacher, self._temperature)

    def forward_flops(self, batch_size: int, length: int) -> float:
        """The teacher's forward pass, where there was one for the last batch."""
        return batch_size * self._profile.forward(length) if self._asked else 0.0

    def _answers(self, inputs: LossInputs) -> torch.Tensor:
        rows = inputs.index.cpu()
        self._asked = not bool(self._known[rows].all())
        if self._asked:
            device = inputs.logits.device
            self._teacher.to(device)
            with torch.no_grad(), precision.autocast(self._precision, device.type):
                logits = self._teacher(**inputs.inputs).logits
            self._logits[rows] = logits.float().cpu()
            self._known[rows] = True
        return self._logits[rows]


def prepare(params: StageParams, context: StageContext) -> None:
    """Count both models' operations before the stage opens."""
    assert isinstance(params, Distill)
    teacher = read_config(needed(context))
    count_operations(context, teacher)
    try:
        count_operations(context, student_config(params.student, teacher))
    except ValueError as error:
        raise JobError("bad-student", str(error), f"{context.field}.student") from error


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
    if int8_modules(teacher.model):
        raise JobError("bad-teacher", "an 8-bit model cannot be distilled", context.field)
    torch.manual_seed(params.seed)  # of weights that the student does not take over
    student = LayerSelection(params.student, f"{context.field}.student").build(teacher.model)
    loaded = Loaded(student, teacher.tokenizer, teacher.labels)
    soft = SoftLabels(
        teacher.model.requires_grad_(False),
        weight=1 - params.alpha,
        temperature=params.temperature,
        examples=len(load_split(context, "train")),
        classes=loaded.outputs,
        precision_=precision.choose(params.precision, context.job.device),
        profile=model_profile(context, teacher),
    )
    terms = [TaskLoss(params.alpha), soft]
    length = Length(params.effective_epochs, params.max_steps)
    outcome = fit(context, loaded, params, length, plugins=terms)
    report_training(context, [outcome])
    folder = save(context, loaded)
    forget_checkpoints(context)
    return StageResult(
        model_folder=folder,
        facts={
            "steps": outcome.steps,
            "train_loss": outcome.loss,
            "precision": outcome.precision,
            "teacher_layers": teacher.model.config.num_hidden_layers,
            "student_layers": student.config.num_hidden_layers,
        },
    )
