"""A teacher and the student that is made from it, before and at the start of a distillation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

from transformers import PreTrainedConfig, PreTrainedModel

from pricetag.recipes.shapes import MisfitError, Shape, stored_shape
from pricetag.recipes.students import Student
from pricetag.recipes.training import Optimisation
from workers.job.context import StageContext
from workers.job.request import JobError
from workers.job.sources import resolve_folder, resolve_model
from workers.training.cost.flops import FlopProfile
from workers.training.finetune import count_model, count_operations, model_profile
from workers.training.formats import registry
from workers.training.model import precision
from workers.training.model.classes import listed
from workers.training.model.loaded import Loaded
from workers.training.model.models import for_training, for_use, needed, read_config
from workers.training.model.students import checked_student_config, student_of
from workers.training.tasks.registry import task_of
from workers.training.teacher import Teacher


def count_teacher_and_student(
    context: StageContext,
    student: Student,
    check: Callable[[Shape, Shape], None] | None = None,
) -> None:
    """Count both models' operations before the stage opens, and check that they fit together.

    Args:
        context: The stage's context.
        student: How the student differs from its teacher.
        check: Compares the shapes of teacher and student; raises ``MisfitError``.

    Raises:
        JobError: ``bad-student``, or the student's folder is unusable.
    """
    count_model(context)
    teacher = read_config(needed(context))
    field = f"{context.field}.student"
    if student.model is None:
        config = checked_student_config(student, teacher, field)
        require_same_vocabulary(teacher, config, field)
    else:
        config = read_config(resolve_folder(context.job, student.model, f"{field}.model"))
        task_of(context).head.require(config)
    if check is not None:
        try:
            check(stored_shape(teacher.to_dict()), stored_shape(config.to_dict()))
        except MisfitError as error:
            raise JobError("bad-student", str(error), f"{context.field}.{error.option}") from error
    count_operations(context, config)


def count_teacher_and(
    context: StageContext, make: Callable[[PreTrainedConfig], PreTrainedConfig]
) -> None:
    """Count the stage's model, and a student whose shape ``make`` makes, before the stage opens.

    Raises:
        JobError: No student can be made.
    """
    count_model(context)
    count_operations(context, make(read_config(needed(context))))


def first_layers(context: StageContext, count: Callable[[int], int]) -> Student:
    """The first layers of the stage's model, as a student.

    Args:
        context: The stage's context.
        count: Maps the model's number of layers to that of the student; raises ``MisfitError``.

    Raises:
        JobError: ``bad-student``.
    """
    try:
        kept_layers = count(read_config(needed(context)).num_hidden_layers)
    except MisfitError as error:
        raise JobError("bad-student", str(error), f"{context.field}.{error.option}") from error
    return Student(layers=list(range(kept_layers)))


def count_twins(context: StageContext) -> None:
    """Count a teacher and a student of its shape before the stage opens."""
    count_teacher_and_student(context, first_layers(context, lambda layers: layers))


def twins(
    context: StageContext, options: Optimisation, *, pretrained: bool = False
) -> tuple[Teacher, Loaded]:
    """The stage's model as the teacher of its training, and a student of its shape.

    Args:
        context: The stage's context.
        options: How the student is trained.
        pretrained: As in ``teacher_and_student``; default: the student is a copy of the teacher.

    Raises:
        JobError: ``bad-teacher`` if the model is final, such as a quantized one.
    """
    same = first_layers(context, lambda layers: layers)
    return teacher_and_student(context, same, options, pretrained=pretrained)


def require_same_vocabulary(
    teacher: PreTrainedConfig, student: PreTrainedConfig, field: str
) -> None:
    """Reject a student whose tokens or classes are not its teacher's: their logits differ.

    Raises:
        JobError: ``bad-student``.
    """
    for size, items in (("vocab_size", "tokens"), ("num_labels", "classes")):
        own, theirs = getattr(student, size, None), getattr(teacher, size, None)
        if own != theirs:
            raise JobError(
                "bad-student",
                f"the student has {own} {items} and its teacher {theirs}: their logits cannot be "
                "compared; use models with the same vocabulary and classes",
                field,
            )


def teacher_and_student(
    context: StageContext, student: Student, options: Optimisation, *, pretrained: bool = False
) -> tuple[Teacher, Loaded]:
    """The stage's model as the teacher of its training, and a student made from it.

    Args:
        context: The stage's context.
        student: How the student differs from its teacher.
        options: How the student is trained.
        pretrained: Whether the student starts from the weights of the run's model, from which
            the teacher was trained, with a new head.

    Raises:
        JobError: ``bad-teacher`` if the model is final, such as a quantized one; ``bad-student``.
    """

    def make(loaded: Loaded) -> PreTrainedModel:
        if student.model is not None:
            return _trained_student(context, student.model, loaded, options.seed)
        return _made_student(context, student, loaded, options, pretrained=pretrained)

    return teacher_and(context, options, make)


def teacher_and(
    context: StageContext, options: Optimisation, make: Callable[[Loaded], PreTrainedModel]
) -> tuple[Teacher, Loaded]:
    """The stage's model as the teacher of its training, and the student that ``make`` makes.

    Raises:
        JobError: ``bad-teacher`` if the model is final, such as a quantized one.
    """
    loaded = for_use(context)
    if registry.is_final(registry.describe(loaded.model)):
        raise JobError("bad-teacher", "a quantized model cannot be distilled", context.field)
    student = make(loaded)
    teacher = Teacher(
        loaded.model,
        precision_=precision.choose(options.precision, context.job.device),
        profile=model_profile(context, loaded),
    )
    return teacher, Loaded(student, loaded.tokenizer, loaded.labels)


def unchanged_teacher(context: StageContext, loaded: Loaded, options: Optimisation) -> Teacher:
    """A copy of the unchanged model, for a stage that compresses the model itself.

    Args:
        context: The stage's context.
        loaded: The model, which the stage changes afterwards.
        options: How the model is trained.
    """
    return Teacher(
        copy.deepcopy(loaded.model),
        precision_=precision.choose(options.precision, context.job.device),
        profile=model_profile(context, loaded),
    )


def _made_student(
    context: StageContext,
    student: Student,
    loaded: Loaded,
    options: Optimisation,
    *,
    pretrained: bool,
) -> PreTrainedModel:
    source = loaded.model
    if pretrained:
        first = replace(context, model=resolve_model(context.job, context.recipe))
        source = for_training(first, loaded.labels, options.seed).model
        require_same_vocabulary(loaded.model.config, source.config, context.field)
    return student_of(source, student, options.seed, f"{context.field}.student")


def _trained_student(
    context: StageContext, place: str, teacher: Loaded, seed: int
) -> PreTrainedModel:
    """The student in a folder, with a head of the teacher's classes.

    Raises:
        JobError: ``bad-student`` if its vocabulary or the order of its classes differs.
    """
    field = f"{context.field}.student.model"
    ref = resolve_folder(context.job, place, field)
    student = for_training(replace(context, model=ref), teacher.labels, seed)
    require_same_vocabulary(teacher.model.config, student.model.config, field)
    if student.labels != teacher.labels:
        raise JobError(
            "bad-student",
            f"the student's classes are {listed(student.labels)} and its teacher's "
            f"{listed(teacher.labels)}: their logits cannot be compared; use the same order",
            field,
        )
    if student.tokenizer.get_vocab() != teacher.tokenizer.get_vocab():
        raise JobError(
            "bad-student",
            "the student's tokenizer has other tokens than its teacher's; use a student that was "
            "trained with the same vocabulary",
            field,
        )
    return student.model


def layers(teacher: Teacher, student: Loaded) -> dict[str, int]:
    """Numbers of layers, for the card of the student."""
    return {
        "teacher_layers": teacher.model.config.num_hidden_layers,
        "student_layers": student.model.config.num_hidden_layers,
    }


def profiles(
    context: StageContext, teacher: Teacher, student: Loaded
) -> tuple[FlopProfile, FlopProfile]:
    """Operations of student and teacher, which the prepared stage has counted."""
    of_teacher = Loaded(teacher.model, student.tokenizer, student.labels)
    return model_profile(context, student), model_profile(context, of_teacher)
