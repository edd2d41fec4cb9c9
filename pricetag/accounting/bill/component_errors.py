"""The error terms of a component's energy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pricetag.accounting.bill.charges import Charge, product
from pricetag.accounting.bill.figures import ComponentError


def component_error(charges: Sequence[Charge]) -> ComponentError | None:
    """The error terms of one component over several windows; None if its energy is unknown.

    Gain errors add linearly over the windows, edge errors in quadrature.

    Args:
        charges: Windows of one component, all from the same meter.

    Source:
        JCGM 100:2008 (GUM), 5.1.2 and 5.2.2.
    """
    energy = product(charges)
    if energy is None:
        return None
    metered_kwh = sum(term.value for term in energy.terms)
    gain_kwh = sum(term.value * term.common_std_ratio for term in energy.terms)
    edges_kwh = math.hypot(*(term.value * term.own_std_ratio for term in energy.terms))
    widths_kwh = [bound.high - bound.low for bound in energy.bounds]
    last = charges[-1]
    return ComponentError(
        gain_group=last.gain_group,
        gain_std_ratio=gain_kwh / metered_kwh if metered_kwh > 0 else last.gain_std_ratio,
        edge_std_ratio=edges_kwh / metered_kwh if metered_kwh > 0 else 0.0,
        multiplicative=last.is_modelled,
        bounds_kwh=sum(widths_kwh) if widths_kwh else None,
        division_kwh=energy.division,
        unread_kwh=energy.unread or None,
    )
