"""After how many inferences a compression has paid back the energy it took."""

from __future__ import annotations

from pricetag.accounting.checks import require_number
from pricetag.accounting.quantity import Quantity, weakest

UNIT = "inferences"


def break_even_inferences(
    compression_kwh: float, inference_before_kwh: float, inference_after_kwh: float
) -> float | None:
    """E_compression / (E_before - E_after), the inferences from which the energy is saved.

    Args:
        compression_kwh: Energy of the compression, its teacher's included.
        inference_before_kwh: Energy of one inference before.
        inference_after_kwh: Energy of one inference after.

    Returns:
        The number of inferences; None when an inference has not become cheaper: it never
        pays back.

    Raises:
        InvalidFactor: If a figure is negative or not finite.
    """
    cost = require_number("compression_kwh", compression_kwh)
    before = require_number("inference_before_kwh", inference_before_kwh)
    saved = before - require_number("inference_after_kwh", inference_after_kwh)
    return cost / saved if saved > 0 else None


def break_even(compression: Quantity, before: Quantity, after: Quantity) -> Quantity:
    """The same of quantities in kWh, with the interval of the least and the most favourable ends.

    The interval takes the two inferences as independent, so it is wide; it is open (and the
    figure unknown) when at the unfavourable end nothing is saved.
    """
    for name, given in (("compression", compression), ("before", before), ("after", after)):
        if given.value is None:
            return Quantity.unknown(UNIT, f"the energy of {name} is unknown: {given.reason}")
    value = _ratio(compression.value, before.value, after.value)
    if value is None:
        return Quantity.unknown(UNIT, "an inference has not become cheaper")
    high = _ratio(compression.high, before.low, after.high)
    if high is None:
        return Quantity.unknown(UNIT, f"about {value:.3g}, but the saving is within its error")
    low = _ratio(compression.low, before.high, after.low)
    sources = [q.source for q in (compression, before, after) if q.source is not None]
    return Quantity(value, low, high, UNIT, weakest(*sources))


def _ratio(cost: float | None, before: float | None, after: float | None) -> float | None:
    if cost is None or before is None or after is None:
        return None
    return break_even_inferences(cost, before, after)
