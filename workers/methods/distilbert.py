"""DistilBERT: a masked-language model learns its teacher's words, labels and last states.

Source: Sanh, Debut, Chaumond, Wolf 2019, DistilBERT, a distilled version of BERT, section 3,
arXiv:1910.01108.
"""

from __future__ import annotations

import torch
from torch.nn import functional
from transformers import PreTrainedConfig, PreTrainedModel

from pricetag.recipes.methods.distill_distilbert import DistillDistilbert
from pricetag.recipes.shapes import MisfitError
from workers.job.request import JobError
from workers.training.forward_pass import ForwardPass
from workers.training.model.distilbert import distilbert_config, distilbert_of
from workers.training.model.loaded import Loaded
from workers.training.model.recording import Needs
from workers.training.plugin import LossTerm, Plugin, Step
from workers.training.teacher import Teacher

BETAS, EPSILON = (0.9, 0.98), 1e-6


def cosine_loss(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """1 - cosine of each token's states, mean over the tokens of a batch.

    Args:
        student: States ``[batch, seq, hidden]``.
        teacher: States of the same shape.
        mask: 1 for tokens, 0 for padding ``[batch, seq]``.

    Source: Sanh et al. 2019, section 2 (L_cos).
    """
    real = mask.bool()
    own, theirs = student[real], teacher[real]
    target = torch.ones(len(own), dtype=own.dtype, device=own.device)
    return functional.cosine_embedding_loss(own, theirs, target)


class LastStates(LossTerm):
    """The direction of the last layer's states.

    Args:
        teacher: The model that the student learns from, of the same width.
        weight: Factor of the term.
    """

    name = "cosine"
    needs = Needs(hidden_states=True)

    def __init__(self, teacher: Teacher, weight: float) -> None:
        self.teacher = teacher
        self.weight = weight

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``."""
        assert self.teacher is not None
        theirs = self.teacher.outputs(forward).hidden_states[-1]
        own = forward.hidden_states[-1]
        return cosine_loss(own.float(), theirs.float(), forward.inputs["attention_mask"])


class AdamOfDistilbert(Plugin):
    """The moments and the epsilon of the paper's optimizer."""

    def before_step(self, step: Step) -> None:
        """Set them; an optimizer that comes from a checkpoint has them already."""
        assert step.optimizer is not None
        for group in step.optimizer.param_groups:
            group["betas"], group["eps"] = BETAS, EPSILON


def student_config(
    params: DistillDistilbert, field: str, teacher: PreTrainedConfig
) -> PreTrainedConfig:
    """The student's shape.

    Args:
        params: The stage's options.
        field: Field of the stage in messages.
        teacher: The teacher's shape.

    Raises:
        JobError: ``bad-teacher`` or ``bad-student``.
    """
    return distilbert_config(teacher, len(_kept(params, field, teacher)), field)


def student_of(params: DistillDistilbert, field: str, teacher: Loaded) -> PreTrainedModel:
    """The student at the start.

    Args:
        params: The stage's options.
        field: Field of the stage in messages.
        teacher: The teacher.

    Raises:
        JobError: ``bad-teacher`` or ``bad-student``.
    """
    layers = _kept(params, field, teacher.model.config)
    return distilbert_of(
        teacher.model, layers, transform=params.copy_transform, seed=params.seed, field=field
    )


def _kept(params: DistillDistilbert, field: str, teacher: PreTrainedConfig) -> list[int]:
    try:
        return params.kept_layers(teacher.num_hidden_layers)
    except MisfitError as error:
        raise JobError("bad-student", str(error), f"{field}.{error.option}") from error
