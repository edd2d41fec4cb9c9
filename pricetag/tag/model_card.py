"""The emissions of a price tag as the metadata of a Hugging Face model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pricetag.accounting.units import G_PER_KG
from pricetag.catalog import WORLD
from pricetag.tag.factors import single
from pricetag.tag.figures import figure_text
from pricetag.tag.view import TagView

TrainingType = Literal["pre-training", "fine-tuning"]


NO_PRICE_TAG = (
    "there is no price tag (it is None). A block inside a run that is metered already has none of "
    "its own: that of the run, once it has ended, is what `pricetag show last --json` prints. If a "
    "block was not metered, or its meter ended early, a line on standard error stated why"
)
"""Why ``Track.price_tag`` is None, and what to do."""


class UnknownEmissionsError(ValueError):
    """The emissions of a price tag are unknown; the message states why."""


def co2_eq_emissions(
    price_tag: Mapping[str, Any] | None,
    *,
    training_type: TrainingType | None = None,
    geographical_location: str | None = None,
) -> dict[str, Any]:
    """The field ``co2_eq_emissions`` of a model card.

    Args:
        price_tag: A price tag, as ``pricetag.track`` or the API has it.
        training_type: What the run was.
        geographical_location: Place of the hardware. Default: the grid zone of the price tag.

    Returns:
        ``emissions`` in grams of CO2e, ``source`` with the interval and the evidence, and what is
        known of ``training_type``, ``geographical_location`` and ``hardware_used``.

    Raises:
        UnknownEmissionsError: If the emissions are unknown, or there is no price tag.
        InvalidDocument: If it is not a price tag.

    Source:
        https://huggingface.co/docs/hub/model-cards-co2
    """
    if price_tag is None:
        raise UnknownEmissionsError(NO_PRICE_TAG)
    tag = TagView.read(price_tag)
    co2e = tag.document.energy.co2e_kg
    if co2e.value is None:
        raise UnknownEmissionsError(f"the emissions are unknown: {co2e.reason}")
    fields = {
        "emissions": co2e.value * G_PER_KG,
        "source": f"Pricetag: {figure_text(co2e)}",
        "training_type": training_type,
        "geographical_location": geographical_location or _zone(tag),
        "hardware_used": tag.hardware,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _zone(tag: TagView) -> str | None:
    """The zone of the carbon intensity; the mean of the world says nothing about the place."""
    factor = single(tag, "carbon_intensity")
    return None if factor is None or factor.zone in (None, "", WORLD) else factor.zone
