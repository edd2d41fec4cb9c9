"""Classes of a model's head: which ones a run keeps, and the names in a new head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from transformers import PreTrainedConfig

from pricetag.recipes.labels import generic_names, same_classes


def class_names(config: PreTrainedConfig) -> list[str] | None:
    """Classes of a model's head in the order of its outputs; None for a single output."""
    names = cast(dict[int, str], config.id2label or {})
    return None if len(names) <= 1 else [str(names[number]) for number in range(len(names))]


def kept_classes(
    own: Sequence[str] | None, wanted: Sequence[str], *, order_stated: bool
) -> list[str] | None:
    """The classes of a head that the run keeps, in the head's order; None for a new head.

    Args:
        own: The head's classes; None without a head.
        wanted: The run's classes.
        order_stated: Whether the job or the data set states the order of the classes.
    """
    if own is None or len(own) != len(wanted):
        return None
    if same_classes(own, wanted):
        return list(own)
    numbered = list(wanted) == [str(number) for number in range(len(wanted))]
    return list(wanted) if generic_names(own) and (order_stated or numbered) else None


def set_classes(config: PreTrainedConfig, names: Sequence[str] | None) -> None:
    """Set the head in a configuration: for these classes, or for a score."""
    outputs = list(names) if names is not None else ["score"]
    config.id2label = dict(enumerate(outputs))
    config.label2id = {name: number for number, name in enumerate(outputs)}
    config.problem_type = "regression" if names is None else "single_label_classification"


def listed(names: Sequence[str] | None) -> str:
    """Classes as text for messages."""
    return "a score" if names is None else ", ".join(names[:10]) + (", ..." * (len(names) > 10))
