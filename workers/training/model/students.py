"""Students made from a teacher's layers."""

from __future__ import annotations

import copy
from typing import cast

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from pricetag.recipes.methods.distill import Student
from workers.job.request import JobError
from workers.training.formats import registry


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
            f"hidden_size {config.hidden_size} is not a multiple of "
            f"{config.num_attention_heads} attention heads"
        )
    return config


def checked_student_config(
    student: Student, teacher: PreTrainedConfig, field: str
) -> PreTrainedConfig:
    """The student's shape, or the job's own error.

    Raises:
        JobError: ``bad-student``.
    """
    try:
        return student_config(student, teacher)
    except ValueError as error:
        raise JobError("bad-student", str(error), field) from error


def student_of(
    teacher: PreTrainedModel, student: Student, seed: int, field: str
) -> PreTrainedModel:
    """A student with chosen layers, embeddings, pooler and head of its teacher.

    Of another width it starts at random, from ``seed``; the teacher stays as it is.

    Raises:
        JobError: ``bad-student``.

    Source: Sanh et al. 2019, DistilBERT, section 3, arXiv:1910.01108.
    """
    notes = registry.describe(teacher)
    if notes:
        raise JobError(
            "bad-student",
            f"no student can be made from a teacher that is {', '.join(notes)}",
            field,
        )
    config = checked_student_config(student, teacher.config, field)
    layers = student.kept_layers(teacher.config.num_hidden_layers)
    torch.manual_seed(seed)  # of weights that the student does not take over
    made = cast(PreTrainedModel, type(teacher)._from_config(config))  # type: ignore[no-untyped-call]
    own = made.state_dict()
    inherited = {
        name: tensor
        for name, tensor in _renumbered(teacher.state_dict(), layers).items()
        if name in own and own[name].shape == tensor.shape
    }
    if config.hidden_size == teacher.config.hidden_size:
        made.load_state_dict(inherited, strict=False)
    return made


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
