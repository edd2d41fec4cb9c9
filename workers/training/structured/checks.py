"""Checks of a model before heads or neurons are cut out of it."""

from __future__ import annotations

from workers.job.context import StageContext
from workers.job.request import JobError
from workers.training.formats import registry
from workers.training.model.loaded import Loaded
from workers.training.structured.units import Units, units_of


def require_units(context: StageContext, loaded: Loaded) -> Units:
    """The heads and neurons of each layer of a model from which they can be removed.

    Raises:
        JobError: ``already-quantized`` or ``heads-not-removable``.
    """
    notes = registry.describe(loaded.model)
    if registry.is_final(notes):
        raise JobError("already-quantized", "prune before quantize, not after", context.field)
    blocking = sorted(notes.keys() - {"sliced", "exits"})
    if blocking:
        raise JobError(
            "heads-not-removable",
            f"the model is {', '.join(blocking)}: its layers have no heads of their own; remove "
            "heads before",
            context.field,
        )
    try:
        return units_of(loaded.model)
    except (AttributeError, ValueError) as error:
        raise JobError(
            "heads-not-removable",
            f"the heads of a {loaded.model.config.model_type} model cannot be removed; use a "
            "BERT-shaped encoder",
            context.field,
        ) from error
