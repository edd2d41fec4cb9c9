"""Two groups of runs against each other, as a ratio in which what they share cancels.

Two runs on the same card at the same site share the meter's gain, the PUE and the carbon
intensity. Their ratio is known far better than either figure; its error is how far repeats of
the same work scatter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import mean
from typing import Any, Literal, get_args

from pricetag.accounting.quantity.quantity import weakest
from pricetag.accounting.quantity.repeats import RepeatRatio, repeat_ratio
from pricetag.accounting.readings.window import FULL_COVERAGE_RATIO
from pricetag.tag.figures import percent
from pricetag.tag.tags import Tag, factor, listed, quantity

Metric = Literal["it_energy_kwh", "facility_energy_kwh", "co2e_kg", "cost", "duration_s"]
METRICS: tuple[Metric, ...] = get_args(Metric)

REPEATS = "spread of the repeats: t interval of the logarithm of the ratio of means"
ENDS = "ends of the two intervals: nothing cancels"

_PUE = ("pue",)
_FACTORS: Mapping[Metric, tuple[str, ...]] = {
    "it_energy_kwh": (),
    "facility_energy_kwh": _PUE,
    "co2e_kg": (*_PUE, "carbon_intensity"),
    "cost": (
        *_PUE,
        "electricity_tariff",
        "internal_price",
        "cloud_price_low",
        "cloud_price_high",
    ),
    "duration_s": (),
}


def compare(first: Sequence[Tag], second: Sequence[Tag], metric: Metric) -> dict[str, Any]:
    """The mean of one group of runs over that of another.

    Args:
        first: Price tags of repeats of one piece of work.
        second: The same of what it is held against.
        metric: Which figure.

    Returns:
        ``{metric, unit, a, b, ratio, method, degrees_of_freedom, cancels, reasons, notes}``.
        ``ratio`` is a quantity; its ends are null, with the reason, where one side has a single
        run. Where the runs do not share cards, site and factors, ``cancels`` is False,
        ``reasons`` says why, and the interval is that of the full errors.
    """
    tags = [*first, *second]
    sides = {"a": _side(first, metric), "b": _side(second, metric)}
    found: dict[str, Any] = {
        "metric": metric,
        "unit": _figure(tags[0], metric)["unit"],
        **sides,
        "method": None,
        "degrees_of_freedom": None,
        "cancels": True,
        "reasons": _not_shared(tags, metric),
        "notes": _notes(tags, metric),
    }
    found["cancels"] = not found["reasons"]
    unknown = _why_unknown(tags, metric)
    if unknown is not None:
        return found | {"ratio": _ratio(None, None, None, None, unknown)}
    source = weakest(*(_figure(tag, metric)["source"] for tag in tags))
    if not found["cancels"]:
        return found | {"method": ENDS, "ratio": _by_ends(first, second, metric, source)}
    values = [[_figure(tag, metric)["value"] for tag in group] for group in (first, second)]
    told: RepeatRatio = repeat_ratio(*values)
    return found | {
        "method": REPEATS,
        "degrees_of_freedom": told.degrees_of_freedom,
        "ratio": _ratio(told.value, told.low, told.high, source, told.reason),
    }


def _figure(tag: Tag, metric: Metric) -> dict[str, Any]:
    return quantity(tag, "cost", "total") if metric == "cost" else quantity(tag, metric)


def _side(tags: Sequence[Tag], metric: Metric) -> dict[str, Any]:
    runs = [
        {
            "run_id": tag.get("run_id"),
            "name": tag.get("name"),
            "version": tag.get("version"),
            "value": _figure(tag, metric)["value"],
        }
        for tag in tags
    ]
    values = [run["value"] for run in runs]
    return {"runs": runs, "mean": None if None in values else mean(values)}


def _ratio(
    value: float | None,
    low: float | None,
    high: float | None,
    source: str | None,
    reason: str | None,
) -> dict[str, Any]:
    ends = {"low": low, "high": high}
    return {"value": value, **ends, "unit": "1", "source": source, "reason": reason}


def _why_unknown(tags: Sequence[Tag], metric: Metric) -> str | None:
    units = {_figure(tag, metric)["unit"] for tag in tags}
    for tag in tags:
        found = _figure(tag, metric)
        if found["value"] is None:
            return f"{tag.get('name')}: {found['reason']}"
        if found["value"] <= 0:
            return f"{tag.get('name')}: its {metric} is zero"
    return None if len(units) == 1 else f"not one unit: {', '.join(sorted(units))}"


def _by_ends(
    first: Sequence[Tag], second: Sequence[Tag], metric: Metric, source: str
) -> dict[str, Any]:
    def middle(group: Sequence[Tag], end: str) -> float:
        return mean(float(_figure(tag, metric)[end]) for tag in group)

    value = middle(first, "value") / middle(second, "value")
    low = middle(first, "low") / middle(second, "high")
    if middle(second, "low") <= 0:
        reason = "the figure below the line may be zero"
        return _ratio(value, None, None, source, reason)
    return _ratio(value, low, middle(first, "high") / middle(second, "low"), source, None)


def _not_shared(tags: Sequence[Tag], metric: Metric) -> list[str]:
    """Why the errors of the runs do not cancel; empty where they do."""
    if metric == "duration_s":
        return []  # a clock's error is nothing beside the spread
    reasons = _differing(tags, "cards", _meters)
    reasons += _differing(tags, "rules of the charge", _rule)
    reasons += _differing(tags, "reserved parts", _reserved)
    reasons += _differing(tags, "sites", lambda tag: str(_provenance(tag).get("site")))
    for name in _FACTORS[metric]:
        reasons += _differing(tags, name.replace("_", " "), partial(_value, name))
    if metric == "cost":
        reasons += _differing(tags, "bases of the cost", _basis)
    return reasons


def _differing(tags: Sequence[Tag], what: str, told: Callable[[Tag], str]) -> list[str]:
    seen = list(dict.fromkeys(told(tag) for tag in tags))
    return [f"the {what} differ: {'; '.join(seen)}"] if len(seen) > 1 else []


def _meters(tag: Tag) -> str:
    """What metered the run: cards by their UUID, a host's components by their node."""
    found = []
    for component in listed(tag, "components"):
        where = "" if component.get("kind") == "gpu" else f"@{component.get('node')}"
        calibration = quantity(component, "calibration")["value"]
        scale = "" if calibration is None else f" x {calibration:g}"
        found.append(f"{component.get('id')}{where} ({component.get('method')}{scale})")
    return ", ".join(sorted(found)) or "none"


def _rule(tag: Tag) -> str:
    """How shared devices were divided: the same work is charged otherwise by the other rule."""
    is_unknown = "idle_power_unknown" in (tag.get("flags") or ())
    return "idle power unknown, half taken for idle" if is_unknown else "idle power known"


def _reserved(tag: Tag) -> str:
    """Which part of each kind of component was the run's: idle energy is charged by it."""
    parts = {
        f"{component.get('kind')} {component['reserved_ratio']:.4g}"
        for component in tag.get("components") or ()
        if component.get("reserved_ratio") is not None
    }
    return ", ".join(sorted(parts)) or "not kept"


def _provenance(tag: Tag) -> Mapping[str, Any]:
    found = tag.get("provenance")
    return found if isinstance(found, Mapping) else {}


def _value(name: str, tag: Tag) -> str:
    found = factor(tag, name)
    return "none" if found is None else f"{found.get('value')} {found.get('unit')}"


def _basis(tag: Tag) -> str:
    cost = tag.get("cost")
    return str(cost.get("basis")) if isinstance(cost, Mapping) else "none"


def _notes(tags: Sequence[Tag], metric: Metric) -> list[str]:
    """What a reader of the ratio should know of single runs."""
    notes = []
    for tag in tags:
        coverage = quantity(tag, "coverage_ratio")["value"]
        if metric != "duration_s" and coverage is not None and coverage < FULL_COVERAGE_RATIO:
            notes.append(f"{tag.get('name')}: metered for {percent(coverage)} of its time")
        if len(listed(tag, "attempts")) > 1:
            notes.append(f"{tag.get('name')}: all of its {len(listed(tag, 'attempts'))} attempts")
    return notes
