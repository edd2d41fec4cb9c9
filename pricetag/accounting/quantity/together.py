"""Sums of figures with possibly common errors: of runs that share devices, site and factors."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pricetag.accounting.quantity.quantity import Quantity, weakest


def sum_together(parts: Mapping[str, Quantity], unit: str) -> Quantity:
    """The sum of figures, with an interval that is valid for any correlation of their errors.

    It is the double nearest to the exact sum, so that the order of the parts does not matter.

    The interval is the sum of the low ends to the sum of the high ends. That is exact for common
    errors (one meter, one grid factor) and too wide for independent ones, never too narrow. An
    unknown part makes the sum unknown; so do different units.

    Args:
        parts: Figures by name, for the reason.
        unit: Unit of the sum if there are no parts.
    """
    for name, part in parts.items():
        if part.value is None:
            return Quantity.unknown(part.unit, f"{name}: {part.reason}")
    units = list(dict.fromkeys(part.unit for part in parts.values()))
    if len(units) > 1:
        return Quantity.unknown(unit, f"the parts are in {' and '.join(units)}")
    sources = [part.source for part in parts.values() if part.source is not None]
    if not sources:
        return Quantity.unknown(unit, "there is nothing to add")
    return Quantity(
        value=math.fsum(part.value or 0.0 for part in parts.values()),
        low=math.fsum(part.low or 0.0 for part in parts.values()),
        high=math.fsum(part.high or 0.0 for part in parts.values()),
        unit=units[0],
        source=weakest(*sources),
    )
