"""Classes of a run: their order, their numbers in a model, and the positive class of F1."""

from __future__ import annotations

from collections.abc import Sequence

from pricetag.recipes import Data
from pricetag.recipes.labels import alike_names, class_order, find_class, generic_names
from workers.job.request import JobError
from workers.training.data.examples import Examples


def label_names(train: Examples) -> list[str]:
    """The classes of a run in order, from its training split.

    The order is that of the job's ``labels``, else of the hub data set, else by
    ``class_order``.

    Raises:
        JobError: ``single-class``; ``labels-alike`` for two names that look like one class.
    """
    present = {str(label) for label in train.labels}
    if len(present) < 2:
        raise JobError(
            "single-class",
            f"the training data has only one class, {present.pop()!r}: there is nothing to learn",
            "recipe.data.label",
        )
    if train.class_names is not None:
        return list(train.class_names)
    alike = alike_names(present)
    if alike is not None:
        first_name, second_name = alike
        raise JobError(
            "labels-alike",
            f"the training data has the labels {first_name!r:.60} and {second_name!r:.60}, "
            "which look like one class: use one spelling, or list all classes in data.labels to "
            "keep them apart",
            "recipe.data.labels",
        )
    return class_order(present)


def encode_labels(examples: Examples, names: Sequence[str] | None) -> list[int] | list[float]:
    """Class numbers in ``names``, or the scores themselves where there are no classes.

    Args:
        examples: The split.
        names: The model's classes, in the order of its outputs.

    Raises:
        JobError: ``unknown-label``, with the row.
    """
    if names is None:
        return [float(label) for label in examples.labels]
    names = names_in_data(names, examples)
    numbers: dict[str, int] = {}
    encoded = []
    for row, label in enumerate(examples.labels):
        name = str(label)
        if name not in numbers:
            number = find_class(name, names)
            if number is None:
                raise unknown_label(examples, row, names)
            numbers[name] = number
        encoded.append(numbers[name])
    return encoded


def names_in_data(names: Sequence[str], examples: Examples) -> list[str]:
    """A model's classes with the names of the data.

    Only a head without names of its own (``LABEL_0``, ...) is read by number: under the order
    of the job's ``labels`` or of the hub data set, else as the numbers themselves.
    """
    if not generic_names(names) or str(examples.labels[0]) in names:
        return list(names)
    if examples.class_names is not None and len(examples.class_names) == len(names):
        return list(examples.class_names)
    return [str(number) for number in range(len(names))]


def unknown_label(examples: Examples, row: int, names: Sequence[str]) -> JobError:
    """The error for a label that is not among the classes ``names``."""
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    hint = (
        ""
        if examples.labels_given
        else "; if they are the same classes under other names, set data.labels to the names in "
        "the order of their numbers"
    )
    return JobError(
        "unknown-label",
        f"{examples.where(row)}: label {str(examples.labels[row])!r:.100} of the "
        f"{examples.split} data is not among the classes {shown}{hint}",
        f"recipe.data.{examples.split}",
    )


def positive_class(
    data: Data | None, names: Sequence[str], class_names: Sequence[str] | None
) -> str:
    """The positive class of F1, of a model's two classes.

    The job's ``positive_label``, else the second in the order of its ``labels`` or of the hub
    data set, else the second by ``class_order``; the order of a checkpoint's head is irrelevant.

    Args:
        data: Options of the run's data.
        names: The model's two classes.
        class_names: The order that the job or the data set states, if any.

    Raises:
        JobError: ``unknown-label`` for a ``positive_label`` that the model does not have.
    """
    if data is not None and data.positive_label is not None:
        number = find_class(data.positive_label, names)
        if number is None:
            raise JobError(
                "unknown-label",
                f"positive_label {data.positive_label!r:.100} is not one of the classes "
                f"{', '.join(names[:20])}",
                "recipe.data.positive_label",
            )
        return names[number]
    if class_names is not None and len(class_names) == 2:
        number = find_class(class_names[1], names)
        if number is not None:
            return names[number]
    return class_order(names)[1]
