"""Error terms of price tags of versions 1 to 3, derived from their intervals."""

from __future__ import annotations

import math

from pricetag.accounting.bill.figures import ComponentError, ComponentTag
from pricetag.accounting.quantity.gain import gain_group
from pricetag.accounting.quantity.uncertainty import NVML_UPDATE_S, Z_95, counter_edge_std_ratio


def recovered_error(component: ComponentTag, value_kwh: float, duration_s: float) -> ComponentError:
    """The error terms of a component, as far as its interval shows them.

    Later versions store them in the document (``ComponentTag.error``).

    Args:
        component: Component of a price tag of version 1 to 3, with a known energy.
        value_kwh: Its energy; above 0 if its interval is not 0.
        duration_s: Duration of its window, in s.
    """
    energy = component.it_energy_kwh
    low = value_kwh if energy.low is None else energy.low
    high = value_kwh if energy.high is None else energy.high
    calibrated = None if component.calibration is None else component.id
    if component.method == "modelled":
        # A calibrated model counts as a model: its interval does not show which of the two.
        ratio = math.expm1(math.log(high / value_kwh) / Z_95) if value_kwh > 0 else 0.0
        group = gain_group(component.kind, component.name, component.method)
        return ComponentError(group, ratio, 0.0, True, None, 0.0)
    total = max(high - value_kwh, value_kwh - low) / value_kwh / Z_95 if value_kwh > 0 else 0.0
    own = min(_own_std_ratio(component, duration_s, total), total)
    group = gain_group(component.kind, component.name, component.method, calibrated=calibrated)
    return ComponentError(group, math.sqrt(total**2 - own**2), own, False, None, 0.0)


def _own_std_ratio(component: ComponentTag, duration_s: float, total: float) -> float:
    """The part of a meter's error that other windows do not share; the rest is its gain error."""
    source = component.it_energy_kwh.source
    if source == "estimated":
        return total  # a window too short for its counter: bounds, without a known gain error
    if component.kind == "gpu" and source == "counter" and duration_s > 0:
        # Price tags of accounting version 1 do not contain the error of an edge.
        return counter_edge_std_ratio(duration_s, component.edge_s or NVML_UPDATE_S)
    return 0.0
