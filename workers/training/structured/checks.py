"""Checks of a model before heads or neurons are cut out of it."""

from __future__ import annotations

from pricetag.recipes.pruning import wrong_share
from workers.job.context import StageContext
from workers.job.request import JobError
from workers.training.formats import registry
from workers.training.model.loaded import Loaded
from workers.training.structured.units import Numbers, Units, units_of


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
            f"heads first",
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


def require_share(context: StageContext, part: str, share: float | None, units: Numbers) -> None:
    """Reject a share that removes no unit, or every unit of a layer.

    Args:
        context: The stage's context.
        part: ``heads`` or ``neurons``, the name of the option too.
        share: Share of the units to remove; None or 0 for none.
        units: The units of each layer.

    Raises:
        JobError: ``wrong-share-of-units``.
    """
    problem = wrong_share(part, share or 0.0, sum(map(len, units)), len(units))
    if problem is not None:
        raise JobError("wrong-share-of-units", problem, f"{context.field}.{part}")
