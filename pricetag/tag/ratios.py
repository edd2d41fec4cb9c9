"""The ratio of two groups of runs, in which shared errors cancel.

Two runs on the same card at the same site share the meter's gain, the PUE and the carbon intensity.
Their ratio is far more precise than either figure; its error is the spread of repeats of the same
work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from statistics import mean
from typing import Any, Literal, get_args

from pricetag.accounting.quantity.quantity import Quantity, weakest
from pricetag.accounting.quantity.repeats import repeat_ratio
from pricetag.accounting.readings.window import FULL_COVERAGE_RATIO
from pricetag.tag.figure import Figure
from pricetag.tag.figures import percent
from pricetag.tag.groups import pooled
from pricetag.tag.status import status_text
from pricetag.tag.view import TagView

Metric = Literal["it_energy_kwh", "facility_energy_kwh", "co2e_kg", "cost", "duration_s"]
METRICS: tuple[Metric, ...] = get_args(Metric)

REPEATS = "spread of the repeats: t interval of the logarithm of the ratio of means"
ENDS = "ends of the two intervals; no error cancels"

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


def compare(first: Sequence[TagView], second: Sequence[TagView], metric: Metric) -> dict[str, Any]:
    """The mean of one group of runs over that of another.

    Args:
        first: Price tags of repeats of one piece of work.
        second: Price tags of the work that it is compared with.
        metric: The figure to compare.

    Returns:
        ``{metric, unit, a, b, ratio, method, degrees_of_freedom, cancels, reasons, notes}``.
        The ends of ``ratio`` are null, with the reason, where one side has a single run. Where
        the runs do not share cards, site and factors, ``cancels`` is False, ``reasons`` says
        why, and the interval is that of the full errors.
    """
    tags = [*first, *second]
    reasons = _not_shared(tags, metric)
    compared: dict[str, Any] = {
        "metric": metric,
        "unit": figure_of(tags[0], metric).unit,
        "a": _side(first, metric),
        "b": _side(second, metric),
        "method": None,
        "degrees_of_freedom": None,
        "cancels": not reasons,
        "reasons": reasons,
        "notes": _notes(tags, metric),
    }
    unknown = _why_unknown(tags, metric)
    if unknown is not None:
        return compared | {"ratio": Figure.unknown(unknown, "1").as_dict()}
    sources = [figure_of(tag, metric).source for tag in tags]
    source = weakest(*(source for source in sources if source is not None))
    if reasons:
        ratio = _by_ends(first, second, metric, source)
        return compared | {"method": ENDS, "ratio": ratio.as_dict()}
    repeats = repeat_ratio(_values(first, metric), _values(second, metric))
    ratio = Figure(repeats.value, repeats.low, repeats.high, "1", source, repeats.reason)
    return compared | {
        "method": REPEATS,
        "degrees_of_freedom": repeats.degrees_of_freedom,
        "ratio": ratio.as_dict(),
    }


def figure_of(tag: TagView, metric: Metric) -> Quantity:
    """A total of a price tag."""
    document = tag.document
    quantity: Quantity = (
        document.cost.total if metric == "cost" else getattr(document.energy, metric)
    )
    return quantity


def _values(tags: Sequence[TagView], metric: Metric) -> list[float]:
    return [value for tag in tags if (value := figure_of(tag, metric).value) is not None]


def _side(tags: Sequence[TagView], metric: Metric) -> dict[str, Any]:
    runs = [
        {
            "run_id": tag.document.run_id,
            "name": tag.document.name,
            "version": tag.document.version,
            "value": figure_of(tag, metric).value,
        }
        for tag in tags
    ]
    figures = [Figure.of(figure_of(tag, metric)) for tag in tags]
    units = {figure.unit for figure in figures}
    unit = units.pop() if len(units) == 1 else None
    mean_figure, std = _mean(tags, figures, unit)
    return {
        "runs": runs,
        "count": len(tags),
        "mean": mean_figure.value,
        "mean_figure": mean_figure.as_dict(),
        "std": std,
        "unit": unit,
    }


def _mean(
    tags: Sequence[TagView], figures: Sequence[Figure], unit: str | None
) -> tuple[Figure, float | None]:
    """The mean over the runs with the interval of the errors that they share, and their spread."""
    if unit is None:
        return Figure.unknown("the runs of the group have different units"), None
    for tag, figure in zip(tags, figures, strict=True):
        if figure.value is None:
            return Figure.unknown(f"{tag.name}: {figure.reason}", unit), None
    pool = pooled(figures, unit)
    value = mean(figure.value for figure in figures if figure.value is not None)
    return replace(pool.mean, value=value), pool.std


def _why_unknown(tags: Sequence[TagView], metric: Metric) -> str | None:
    units = {figure_of(tag, metric).unit for tag in tags}
    for tag in tags:
        figure = figure_of(tag, metric)
        if figure.value is None:
            return f"{tag.name}: {figure.reason}"
        if figure.value <= 0:
            return f"{tag.name}: {metric} is zero"
    return None if len(units) == 1 else f"different units: {', '.join(sorted(units))}"


def _by_ends(
    first: Sequence[TagView], second: Sequence[TagView], metric: Metric, source: str
) -> Figure:
    def middle(group: Sequence[TagView], end: str) -> float:
        return mean(float(getattr(figure_of(tag, metric), end)) for tag in group)

    value = middle(first, "value") / middle(second, "value")
    low = middle(first, "low") / middle(second, "high")
    if middle(second, "low") <= 0:
        return Figure(value, None, None, "1", source, "the denominator may be zero")
    return Figure(value, low, middle(first, "high") / middle(second, "low"), "1", source)


def _not_shared(tags: Sequence[TagView], metric: Metric) -> list[str]:
    """Reasons why the errors of the runs do not cancel; empty if they do."""
    if metric == "duration_s":
        return []  # a clock's error is nothing beside the spread
    reasons = _differing(tags, "cards", _meters)
    reasons += _differing(tags, "charging rules", _rule)
    reasons += _differing(tags, "reserved shares", _reserved)
    reasons += _differing(tags, "sites", lambda tag: str(tag.document.provenance.site))
    for name in _FACTORS[metric]:
        reasons += _differing(tags, name.replace("_", " "), partial(_value, name))
    if metric == "cost":
        reasons += _differing(tags, "cost bases", lambda tag: str(tag.document.cost.basis))
    return reasons


def _differing(
    tags: Sequence[TagView], noun: str, described: Callable[[TagView], str]
) -> list[str]:
    seen = list(dict.fromkeys(described(tag) for tag in tags))
    return [f"the {noun} differ: {'; '.join(seen)}"] if len(seen) > 1 else []


def _meters(tag: TagView) -> str:
    """The meters of the run: cards by their UUID, a host's components by their node."""
    meters = []
    for component in tag.document.energy.components:
        where = "" if component.kind == "gpu" else f"@{component.node}"
        calibration = None if component.calibration is None else component.calibration.value
        scale = "" if calibration is None else f" x {calibration:g}"
        meters.append(f"{component.id}{where} ({component.method}{scale})")
    return ", ".join(sorted(meters)) or "none"


def _rule(tag: TagView) -> str:
    """How shared devices were divided: the two rules charge the same work differently."""
    is_unknown = "idle_power_unknown" in tag.document.flags
    return (
        "idle power unknown, half of the use counted as idle" if is_unknown else "idle power known"
    )


def _reserved(tag: TagView) -> str:
    """The reserved share of each kind of component: idle energy is charged by it."""
    parts = {
        f"{component.kind} {component.reserved_ratio:.4g}"
        for component in tag.document.energy.components
        if component.reserved_ratio is not None
    }
    return ", ".join(sorted(parts)) or "not recorded"


def _value(name: str, tag: TagView) -> str:
    factor = getattr(tag.document.provenance.factors, name)
    return "none" if factor is None else f"{factor.value} {factor.unit}"


def _notes(tags: Sequence[TagView], metric: Metric) -> list[str]:
    """Notes on single runs for readers of the ratio."""
    notes = []
    for tag in tags:
        if tag.status != "succeeded":
            notes.append(f"{tag.name}: {status_text(tag.status)}; its work may not be complete")
        coverage = tag.document.energy.coverage_ratio.value
        if metric != "duration_s" and coverage is not None and coverage < FULL_COVERAGE_RATIO:
            notes.append(f"{tag.name}: metered for {percent(coverage)} of its run time")
        if tag.has_several_attempts:
            notes.append(f"{tag.name}: includes all {len(tag.document.attempts)} attempts")
    return notes
