"""TinyBERT: a student learns its teacher's embeddings, hidden states and attention scores.

Source: Jiao, Yin, Shang, Jiang, Chen, Li, Wang, Liu 2020, TinyBERT: Distilling BERT for Natural
Language Understanding, arXiv:1909.10351.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from pricetag.recipes.methods.distill_tinybert import DistillTinybert
from workers.job.context import StageContext
from workers.training.augmenting import augmented_data, count_augmentation
from workers.training.cost.tally import Tally
from workers.training.data.augmentation import Replacement
from workers.training.data.tokens import TokenData
from workers.training.finetune import new_tally
from workers.training.fit import Horizon
from workers.training.forward_pass import ForwardPass
from workers.training.model.loaded import Loaded
from workers.training.model.recording import Needs
from workers.training.phases import Phase
from workers.training.plugin import LossTerm, ParameterGroup
from workers.training.score_differences import scores_difference
from workers.training.tasks.base import Task
from workers.training.teacher import Teacher


def mapped_layers(teacher: int, student: int) -> list[int]:
    """The teacher's state for each state of the student: g(m) = m * teacher / student.

    State 0 is that of the embeddings, state m that of layer m, counted from 1. The paper's
    depths divide one another; otherwise g(m) is rounded down.

    Args:
        teacher: Number of the teacher's layers.
        student: Number of the student's layers.

    Source: Jiao et al. 2020, section 3.1 and section 4.2 (uniform strategy).
    """
    return [number * teacher // student for number in range(student + 1)]


def attention_loss(
    student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Mean squared difference of attention scores before the softmax, summed over the layers.

    The means include padded rows and columns; a padded column counts as 0, as in the authors'
    code.

    Args:
        student: Scores of the student's layers, each ``[batch, heads, seq, seq]``.
        teacher: Scores of the teacher's layers that they learn from, of the same shape.

    Source: Jiao et al. 2020, equation 7 (L_attn).
    """
    return scores_difference(student, teacher)


def hidden_loss(
    student: Sequence[torch.Tensor],
    teacher: Sequence[torch.Tensor],
    project: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Mean squared difference of projected states, summed over embeddings and layers.

    Args:
        student: States ``[batch, seq, student_hidden]`` of embeddings and layers.
        teacher: States ``[batch, seq, teacher_hidden]`` that they learn from.
        project: The one projection from the student's width to the teacher's.

    Source: Jiao et al. 2020, equations 8 and 9 (L_hidn, L_embd).
    """
    losses = [
        functional.mse_loss(project(own), theirs)
        for own, theirs in zip(student, teacher, strict=True)
    ]
    return torch.stack(losses).sum()


def prediction_loss(
    student: torch.Tensor,
    teacher: torch.Tensor,
    temperature: float = 1.0,
    *,
    mean_over_classes: bool = False,
) -> torch.Tensor:
    """Cross-entropy of the student's and the teacher's softened classes, mean over the batch.

    Args:
        student: Logits ``[batch, classes]``.
        teacher: Logits of the same shape.
        temperature: The paper's t.
        mean_over_classes: Divide by the number of classes as well, as the authors' code does.

    Source: Jiao et al. 2020, equation 10 (L_pred).
    """
    soft = functional.softmax(teacher / temperature, dim=-1)
    entropies = -soft * functional.log_softmax(student / temperature, dim=-1)
    return entropies.mean() if mean_over_classes else entropies.sum(-1).mean()


class HiddenStates(LossTerm):
    """States of embeddings and layers through one trained projection, which is discarded.

    Args:
        teacher: The model that the student learns from.
        layers: The teacher's state for each of the student's, from ``mapped_layers``.
        widths: Widths of student and teacher.
        seed: Seed of the projection.
    """

    name = "hidden"
    needs = Needs(hidden_states=True)
    reads_logits = False

    def __init__(
        self, teacher: Teacher, layers: Sequence[int], widths: tuple[int, int], seed: int
    ) -> None:
        self.teacher = teacher
        self._layers = layers
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.projection = nn.Linear(*widths)

    def attach(self, model: nn.Module) -> None:
        """Move the projection to the model's device."""
        self.projection.to(next(model.parameters()).device)

    def parameter_groups(self, model: nn.Module) -> Sequence[ParameterGroup]:
        """The projection: its matrix decays as the model's do, its bias does not."""
        matrix, bias = self.projection.parameters()
        return [ParameterGroup([matrix]), ParameterGroup([bias], weight_decay=0.0)]

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``."""
        assert self.teacher is not None
        states = self.teacher.outputs(forward).hidden_states
        theirs = [states[layer].float() for layer in self._layers]
        own = forward.hidden_states[: len(theirs)]
        return hidden_loss(own, theirs, lambda state: self.projection(state).float())

    def extra_flops(self, rows: int, width: int) -> float:
        """Forward and backward of the projection of every state."""
        return 3.0 * len(self._layers) * 2 * rows * width * self.projection.weight.numel()

    def state(self) -> dict[str, torch.Tensor]:
        """The projection."""
        return dict(self.projection.state_dict())

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Restore the projection of a checkpoint."""
        self.projection.load_state_dict(state)


class AttentionScores(LossTerm):
    """Attention scores of the layers before the softmax.

    Args:
        teacher: The model that the student learns from, with as many attention heads.
        layers: The teacher's state for each of the student's, from ``mapped_layers``.
    """

    name = "attention"
    needs = Needs(attention_scores=True)
    reads_logits = False

    def __init__(self, teacher: Teacher, layers: Sequence[int]) -> None:
        self.teacher = teacher
        self._layers = layers[1:]

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``."""
        assert self.teacher is not None
        recorded = self.teacher.outputs(forward).attention
        theirs = [_scores(recorded[layer - 1].scores) for layer in self._layers]
        own = [_scores(attention.scores) for attention in forward.attention[: len(theirs)]]
        return attention_loss(own, theirs)


def _scores(scores: torch.Tensor | None) -> torch.Tensor:
    assert scores is not None
    return scores.float()


class Prediction(LossTerm):
    """The teacher's classes.

    Args:
        teacher: The model that the student learns from.
        temperature: The paper's t.
        mean_over_classes: Divide by the number of classes as well.
    """

    name = "prediction"

    def __init__(self, teacher: Teacher, temperature: float, *, mean_over_classes: bool) -> None:
        self.teacher = teacher
        self._temperature = temperature
        self._mean_over_classes = mean_over_classes

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``."""
        assert self.teacher is not None
        return prediction_loss(
            forward.logits,
            self.teacher.outputs(forward).logits,
            self._temperature,
            mean_over_classes=self._mean_over_classes,
        )


def phases(
    params: DistillTinybert, teacher: Teacher, student: PreTrainedModel, task: Task
) -> list[Phase]:
    """The phases of a stage: general distillation for a language model, else one or two.

    Args:
        params: The stage's options.
        teacher: The model that the student learns from.
        student: The student.
        task: The run's task.
    """
    usual = Horizon(params.effective_epochs, params.max_steps)
    inner = _inner_terms(teacher, student, params.seed)
    if task.head.per_token:
        return [Phase("general", params, usual, inner)]
    constant = params.model_copy(
        update={
            "learning_rate": params.intermediate_learning_rate,
            "schedule": "constant",
            "warmup_ratio": 0.0,
            "warmup_steps": None,
            "mid_evaluation": None,
        }
    )
    last: LossTerm = (
        task.loss()
        if student.config.num_labels == 1
        else Prediction(teacher, params.temperature, mean_over_classes=params.mean_over_classes)
    )
    intermediate = Phase("intermediate", constant, Horizon(params.intermediate_epochs), inner)
    prediction = Phase("prediction", params, usual, [last])
    return [intermediate, prediction] if params.intermediate_epochs > 0 else [prediction]


def _inner_terms(teacher: Teacher, student: PreTrainedModel, seed: int) -> list[LossTerm]:
    theirs, own = teacher.model.config, student.config
    layers = mapped_layers(theirs.num_hidden_layers, own.num_hidden_layers)
    widths = own.hidden_size, theirs.hidden_size
    return [HiddenStates(teacher, layers, widths, seed), AttentionScores(teacher, layers)]


def prepare_replacement(context: StageContext, params: DistillTinybert) -> None:
    """Count the language model that replaces words, if any, before the stage opens.

    Raises:
        JobError: ``untrained-model`` if the run's model is not a masked language model.
    """
    if params.augmentation:
        count_augmentation(context)


def training_set(
    context: StageContext, loaded: Loaded, params: DistillTinybert
) -> tuple[TokenData, Tally]:
    """The training data with its copies, and the operations of making these.

    Args:
        context: The stage's context.
        loaded: The student.
        params: The stage's options.

    Raises:
        JobError: The data cannot be used.
        Interrupted: A stop was requested.

    Source: Jiao et al. 2020, section 3.2 and algorithm 1.
    """
    tally = new_tally(context, loaded)
    how = Replacement(
        params.augmentation, params.replacement_rate, params.replacement_candidates, params.seed
    )
    return augmented_data(context, loaded, params.max_length, how, tally), tally
