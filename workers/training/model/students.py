"""Students made from a teacher's layers."""

from __future__ import annotations

import copy
from typing import cast

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from pricetag.recipes.shapes import SIZE_NAMES
from pricetag.recipes.students import Student
from workers.job.request import JobError
from workers.training.formats import registry
from workers.training.model.recording import encoder_layers

_WIDTHS = ("hidden_size", "num_attention_heads", "intermediate_size")


def student_config(student: Student, teacher: PreTrainedConfig) -> PreTrainedConfig:
    """The student's shape.

    Raises:
        ValueError: The layers or the width do not fit, or the architecture has no such width.
    """
    config = copy.deepcopy(teacher)
    layers = student.kept_layers(teacher.num_hidden_layers)
    config.num_hidden_layers = len(layers)
    kinds = getattr(teacher, "layer_types", None)
    if kinds is not None and len(kinds) == teacher.num_hidden_layers:
        config.layer_types = [kinds[number] for number in layers]
    for option in _WIDTHS:
        width = getattr(student, option)
        if width is not None:
            _set_width(config, option, width)
    if config.hidden_size % config.num_attention_heads:
        raise ValueError(
            f"hidden_size {config.hidden_size} is not a multiple of "
            f"{config.num_attention_heads} attention heads"
        )
    return config


def _set_width(config: PreTrainedConfig, option: str, width: int) -> None:
    """Set a width under the architecture's own name; any other name would change nothing."""
    kind = type(config)
    names = [n for n in SIZE_NAMES[option] if n in kind.attribute_map or hasattr(kind, n)]
    if not names:
        raise ValueError(f"a {config.model_type} model has no {option}; remove it")
    setattr(config, names[0], width)


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
    """A student with some layers of its teacher, and its embeddings, pooler and head.

    With another width it starts at random, from ``seed``; the teacher is not changed.

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
    torch.manual_seed(seed)  # for weights that the student does not take from its teacher
    student_model = cast(PreTrainedModel, type(teacher)._from_config(config))  # type: ignore[no-untyped-call]
    if config.hidden_size == teacher.config.hidden_size:
        own = student_model.state_dict()
        inherited = {
            name: tensor
            for name, tensor in _renumbered(teacher, student).items()
            if name in own and own[name].shape == tensor.shape
        }
        student_model.load_state_dict(inherited, strict=False)
    return student_model


def _renumbered(teacher: PreTrainedModel, student: Student) -> dict[str, torch.Tensor]:
    """The teacher's tensors under the numbers that its layers have in the student."""
    layers = student.kept_layers(teacher.config.num_hidden_layers)
    numbers = {str(old): str(new) for new, old in enumerate(layers)}
    prefix = _layers_name(teacher)
    renamed = {}
    for name, tensor in teacher.state_dict().items():
        if prefix is None or not name.startswith(prefix):
            renamed[name] = tensor
            continue
        number, _, suffix = name.removeprefix(prefix).partition(".")
        if number in numbers:
            renamed[f"{prefix}{numbers[number]}.{suffix}"] = tensor
    return renamed


def _layers_name(model: PreTrainedModel) -> str | None:
    """How the names of the layers' tensors begin; None where there is one layer for all."""
    try:
        layers = encoder_layers(model)
    except ValueError:
        return None
    return next(f"{name}." for name, module in model.named_modules() if module is layers)
