"""Break-even out of stages of a price tag, with the errors that their meters share taken out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pricetag.accounting.quantity.quantity import weakest
from pricetag.accounting.quantity.uncertainty import (
    NVML_UPDATE_S,
    Z_95,
    Term,
    counter_edge_std_ratio,
)
from pricetag.accounting.readings.window import FULL_COVERAGE_RATIO
from pricetag.accounting.work.break_even import UNIT, break_even_metered_alike
from pricetag.tag.tags import listed, quantity, unknown

_NEXT_TO_NOTHING = 1e-9


class Window(NamedTuple):
    """A metered stage, and the part of its energy that is meant."""

    stage: Mapping[str, Any]
    part_ratio: float = 1.0


def total_kwh(stages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The energy of some stages of one run, in kWh.

    Interval ends are added as they are, since the errors of one meter do not cancel in a sum.
    """
    found = [quantity(stage, "it_energy_kwh") for stage in stages]
    if not found:
        return unknown("nothing was made of it", "kWh")
    for item in found:
        if item["value"] is None:
            return unknown(str(item["reason"]), "kWh")
    return {
        **{end: sum(item[end] for item in found) for end in ("value", "low", "high")},
        "unit": "kWh",
        "source": weakest(*(item["source"] for item in found)),
        "reason": None,
    }


def break_even(making: Sequence[Window], before: Window, after: Window) -> dict[str, Any]:
    """The number of inferences that pay back the making, as a quantity.

    Args:
        making: The stages that made the variant.
        before: The stage of the first variant's inferences, divided by their number.
        after: The same of the variant.

    Returns:
        A quantity; unknown where a stage was not fully metered, or where the three were not
        metered by the same components, for then their energies cannot be compared.
    """
    windows = (*making, before, after)
    reason = _why_not(windows)
    if reason is not None:
        return unknown(reason, UNIT)
    found = break_even_metered_alike(
        [term for window in making for term in _terms(window)],
        _terms(before),
        _terms(after),
        weakest(*(quantity(w.stage, "it_energy_kwh")["source"] for w in windows)),
    )
    return {"reason": None, **found.as_dict()}


def _why_not(windows: Sequence[Window]) -> str | None:
    for window in windows:
        energy = quantity(window.stage, "it_energy_kwh")
        name = window.stage.get("name") or window.stage.get("kind")
        if energy["value"] is None:
            return f"the energy of {name} is unknown: {energy['reason']}"
        coverage = quantity(window.stage, "coverage_ratio")["value"]
        if coverage is None or coverage < FULL_COVERAGE_RATIO:
            return f"{name} was metered for a part of its time only"
    if len({frozenset(_meters(window)) for window in windows}) > 1:
        return "the stages were not metered by the same components"
    return None


def _meters(window: Window) -> list[tuple[str, str, str]]:
    return [
        (str(c.get("kind")), str(c.get("name")), str(c.get("method")))
        for c in listed(window.stage, "components")
        if quantity(c, "it_energy_kwh")["value"] is not None
    ]


def _terms(window: Window) -> list[Term]:
    duration_s = quantity(window.stage, "duration_s")["value"]
    return [
        _term(component, energy, window.part_ratio, duration_s or 0.0)
        for component in listed(window.stage, "components")
        if (energy := quantity(component, "it_energy_kwh"))["value"] is not None
    ]


def _term(
    component: Mapping[str, Any], energy: Mapping[str, Any], part_ratio: float, duration_s: float
) -> Term:
    """A component's energy with its two kinds of error, read back from its interval."""
    kind = str(component.get("kind"))
    value = float(energy["value"])
    low, high = (value if energy[end] is None else float(energy[end]) for end in ("low", "high"))
    if value <= 0 < high:
        # A counter that did not tick: only bounds are known. Errors of a term are relative,
        # so that it needs an amount, however small, to bear them.
        value = high * _NEXT_TO_NOTHING
    if component.get("method") == "modelled":
        ratio = math.expm1(math.log(high / value) / Z_95) if value > 0 else 0.0
        return Term(value * part_ratio, f"{kind}:model", ratio, multiplicative=True)
    total = max(high - value, value - low) / value / Z_95 if value > 0 else 0.0
    own = min(_own_std_ratio(component, energy, duration_s, total), total)
    common = math.sqrt(total**2 - own**2)
    return Term(value * part_ratio, _gain_group(component), common, own)


def _gain_group(component: Mapping[str, Any]) -> str:
    """Who shares the gain's error: cards of one name, or a calibrated card alone."""
    if component.get("calibration") is not None:
        return f"calibration:{component.get('id')}"
    return f"{component.get('kind')}:{component.get('name')}"


def _own_std_ratio(
    component: Mapping[str, Any], energy: Mapping[str, Any], duration_s: float, total: float
) -> float:
    """The part of a meter's error that no other window shares; the rest is its gain."""
    if energy["source"] == "estimated":
        return total  # a window too short for its counter: bounds, and no gain worth the name
    if component.get("kind") == "gpu" and energy["source"] == "counter" and duration_s > 0:
        # Price tags of the first accounting do not tell how far off an edge may be.
        return counter_edge_std_ratio(duration_s, component.get("edge_s") or NVML_UPDATE_S)
    return 0.0
