"""The factors of a price tag as JSON, in full, and back: a tag can be rebuilt from its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from pricetag.accounting.bill.inputs import EmbodiedFactor, Factor, Factors, HourlyFactor

SINGLE = (
    "pue",
    "carbon_intensity",
    "cloud_price_low",
    "cloud_price_high",
    "electricity_tariff",
    "carbon_market",
    "internal_price",
    "wue",
    "water_intensity",
)
HOURLY = ("carbon_hours", "tariff_hours")
NAMED = ("calibrations", "peaks")
REASONS = {
    "carbon_intensity_reason": ("carbon_intensity", "carbon_hours"),
    "cloud_price_reason": ("cloud_price_low", "cloud_price_high"),
    "electricity_reason": ("electricity_tariff", "tariff_hours"),
    "internal_price_reason": ("internal_price",),
}
"""Why something is not known, and the factors of which none is there then."""


def factors_wire(factors: Factors, hours: Collection[str]) -> dict[str, Any]:
    """Every factor with value, error, citation and licence.

    Args:
        factors: Of the price tag.
        hours: UTC hours in which energy was used; figures of other hours are left out.
    """
    wire: dict[str, Any] = {name: _one(getattr(factors, name)) for name in SINGLE}
    for name in HOURLY:
        hourly: HourlyFactor | None = getattr(factors, name)
        wire[name] = None if hourly is None else _hourly(hourly, hours)
    for name in NAMED:
        named: Mapping[str, Factor] = getattr(factors, name)
        wire[name] = {key: asdict(named[key]) for key in sorted(named)}
    wire["embodied"] = [asdict(about) for about in factors.embodied]
    return wire | {"currency": factors.currency} | _reasons(factors)


def _reasons(factors: Factors) -> dict[str, str | None]:
    """Null where the factor is there: nothing is missing that would need one."""
    return {
        name: None
        if any(getattr(factors, instead) is not None for instead in there)
        else getattr(factors, name)
        for name, there in REASONS.items()
    }


def read_factors(provenance: Mapping[str, Any]) -> Factors:
    """The factors that a price tag's provenance holds.

    Raises:
        KeyError: If a factor is missing, as in tags of accounting version 1.
        TypeError: If a factor has a field that is not known.
    """
    wire = provenance["factors"]
    fields: dict[str, Any] = {name: _read(wire[name]) for name in SINGLE}
    fields |= {name: _read_hourly(wire[name]) for name in HOURLY}
    fields |= {name: {k: Factor(**item) for k, item in wire[name].items()} for name in NAMED}
    fields["embodied"] = tuple(
        EmbodiedFactor(**{**about, "factor": Factor(**about["factor"])})
        for about in wire["embodied"]
    )
    fields |= {name: wire[name] for name in REASONS if wire[name] is not None}
    fields["currency"] = wire["currency"]
    return Factors(**fields, site=provenance["site"], as_of=provenance["as_of"])


def _one(factor: Factor | None) -> dict[str, Any] | None:
    return None if factor is None else asdict(factor)


def _hourly(hourly: HourlyFactor, hours: Collection[str]) -> dict[str, Any]:
    used = {hour: hourly.by_hour[hour] for hour in sorted(hours) if hour in hourly.by_hour}
    return {"factor": asdict(hourly.factor), "by_hour": used}


def _read(wire: Mapping[str, Any] | None) -> Factor | None:
    return None if wire is None else Factor(**wire)


def _read_hourly(wire: Mapping[str, Any] | None) -> HourlyFactor | None:
    if wire is None:
        return None
    return HourlyFactor(Factor(**wire["factor"]), dict(wire["by_hour"]))
