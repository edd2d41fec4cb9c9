"""The factors applied in price tags, each once, with the runs they apply to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from pricetag.accounting.bill.inputs import Factor, HourlyFactor
from pricetag.tag.strubell import Profile, paper_factors
from pricetag.tag.view import TagView

LABELS = {
    "pue": "PUE",
    "carbon_intensity": "Carbon intensity",
    "cloud_price_low": "Price per accelerator-hour, low",
    "cloud_price_high": "Price per accelerator-hour, high",
    "electricity_tariff": "Electricity tariff",
    "carbon_hours": "Hourly carbon intensity, mean as applied",
    "tariff_hours": "Hourly electricity tariff, mean as applied",
    "carbon_market": "Carbon intensity, market-based",
    "internal_price": "Own hardware, per accelerator-hour",
    "wue": "Water usage effectiveness",
    "water_intensity": "Water intensity of the electricity",
    "calibrations": "Calibration",
    "embodied": "Embodied emissions",
    "peaks": "Peak",
}

HOURS_OF = {"carbon_intensity": "carbon_hours", "electricity_tariff": "tariff_hours"}
"""Hourly factors that replace a constant factor in the hours they cover."""

OF_THE_PAPER = frozenset({"pue", "carbon_intensity", "carbon_hours"})


@dataclass(frozen=True, slots=True)
class AppliedFactor:
    """A factor with the runs it was applied to; without runs if a profile sets it for all."""

    name: str
    label: str
    factor: Factor
    runs: list[str] | None = field(default_factory=list)


def single(tag: TagView, name: str) -> Factor | None:
    """A constant factor of a price tag."""
    factor: Factor | None = getattr(tag.document.provenance.factors, name)
    return factor


def hourly(tag: TagView, name: str) -> HourlyFactor | None:
    """An hourly factor of a price tag."""
    factor: HourlyFactor | None = getattr(tag.document.provenance.factors, name)
    return factor


def is_applied(tag: TagView, name: str) -> bool:
    """Whether a factor was applied to any energy; one of two alternatives may be unused."""
    hours = HOURS_OF.get(name)
    if hours is None or hourly(tag, hours) is None:
        return True
    return f"{hours}_incomplete" in tag.document.flags


def hourly_mean(tag: TagView, name: str) -> float | None:
    """The mean hourly factor as applied; None without hourly values."""
    factor = hourly(tag, name)
    if factor is None or not factor.by_hour:
        return None
    document = tag.document
    if name == "carbon_hours":
        return document.carbon_intensity_g_per_kwh.value
    paid, energy = document.cost.electricity.value, document.energy.facility_energy_kwh.value
    return None if paid is None or not energy else paid / energy


def applied(tags: Sequence[TagView], profile: Profile) -> list[AppliedFactor]:
    """Every factor that was applied, once, with the runs it was applied to."""
    factors = _of_paper() if profile == "strubell2019" else []
    skipped = OF_THE_PAPER if profile == "strubell2019" else frozenset()
    for name in LABELS:
        for tag in tags if name not in skipped else ():
            for label, factor in _used(tag, name):
                _add(factors, AppliedFactor(name, label, factor), tag.document.name)
    return factors


def _used(tag: TagView, name: str) -> Iterator[tuple[str, Factor]]:
    """The factors that a price tag has under one name, each with its label."""
    label, factors = LABELS[name], tag.document.provenance.factors
    if name == "embodied":
        for about in factors.embodied:
            yield f"{label}, {about.subject}", about.factor
    elif name in ("calibrations", "peaks"):
        for subject, item in getattr(factors, name).items():
            yield f"{label}, {subject}", item
    elif name.endswith("_hours"):
        series, mean = hourly(tag, name), hourly_mean(tag, name)
        if series is not None and mean is not None:
            yield label, replace(series.factor, value=mean)
    else:
        yield from _used_single(tag, name, label)


def _used_single(tag: TagView, name: str, label: str) -> Iterator[tuple[str, Factor]]:
    factor = single(tag, name)
    if factor is None or not is_applied(tag, name):
        return
    if name in HOURS_OF and hourly(tag, HOURS_OF[name]) is not None:
        label = f"{label}, in hours without an hourly value"
    yield label, factor


def _of_paper() -> list[AppliedFactor]:
    paper = paper_factors()
    named = {"pue": paper.pue, "carbon_intensity": paper.carbon_intensity}
    return [AppliedFactor(name, LABELS[name], used, None) for name, used in named.items()]


def _add(factors: list[AppliedFactor], item: AppliedFactor, run: str) -> None:
    for existing in factors:
        is_same = (existing.name, existing.label, existing.factor) == (
            item.name,
            item.label,
            item.factor,
        )
        if is_same and existing.runs is not None:
            existing.runs.append(run)
            return
    factors.append(replace(item, runs=[run]))
