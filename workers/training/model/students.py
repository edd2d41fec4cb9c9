"""Students made from a teacher's layers."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from pricetag.recipes.stages import Student
from workers.job.request import JobError
from workers.training.plugins import StudentBuilder


def student_config(student: Student, teacher: PreTrainedConfig) -> PreTrainedConfig:
    """The student's shape.

    Raises:
        ValueError: the layers or the width do not fit.
    """
    config = copy.deepcopy(teacher)
    config.num_hidden_layers = len(student.kept_layers(teacher.num_hidden_layers))
    for name in ("hidden_size", "num_attention_heads", "intermediate_size"):
        value = getattr(student, name)
        if value is not None:
            setattr(config, name, value)
    if config.hidden_size % config.num_attention_heads:
        raise ValueError(
            f"hidden_size {config.hidden_size} is no multiple of "
            f"{config.num_attention_heads} attention heads"
        )
    return config


class LayerSelection(StudentBuilder):
    """Copies chosen layers, embeddings, pooler and head; other widths start at random.

    Source: Sanh et al. 2019, DistilBERT, section 3, arXiv:1910.01108.
    """

    def __init__(self, student: Student, field: str) -> None:
        self.student = student
        self.field = field

    def build(self, teacher: nn.Module) -> PreTrainedModel:
        """See ``StudentBuilder.build``.

        Raises:
            JobError: ``bad-student``.
        """
        assert isinstance(teacher, PreTrainedModel)
        try:
            layers = self.student.kept_layers(teacher.config.num_hidden_layers)
            config = student_config(self.student, teacher.config)
        except ValueError as error:
            raise JobError("bad-student", str(error), self.field) from error
        student: Any = AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
        own = student.state_dict()
        taken = {
            name: tensor
            for name, tensor in _renumbered(teacher.state_dict(), layers).items()
            if name in own and own[name].shape == tensor.shape
        }
        if config.hidden_size == teacher.config.hidden_size:
            student.load_state_dict(taken, strict=False)
        return cast(PreTrainedModel, student)


def _renumbered(state: dict[str, torch.Tensor], layers: list[int]) -> dict[str, torch.Tensor]:
    """The teacher's tensors under the numbers that its layers have in the student."""
    numbers = {old: new for new, old in enumerate(layers)}
    renamed = {}
    for name, tensor in state.items():
        head, mark, tail = name.partition(".layer.")
        if not mark:
            renamed[name] = tensor
            continue
        number, _, rest = tail.partition(".")
        if int(number) in numbers:
            renamed[f"{head}.layer.{numbers[int(number)]}.{rest}"] = tensor
    return renamed
