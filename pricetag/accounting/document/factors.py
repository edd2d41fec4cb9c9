"""The factors in a price tag's provenance, from which it can be rebuilt."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from pricetag.accounting.bill.inputs import Factors, HourlyFactor
from pricetag.accounting.document.records import AppliedFactors, Provenance
from pricetag.accounting.quantity.record import InvalidDocument, members

REASONS = {
    "carbon_intensity_reason": ("carbon_intensity", "carbon_hours"),
    "cloud_price_reason": ("cloud_price_low", "cloud_price_high"),
    "electricity_reason": ("electricity_tariff", "tariff_hours"),
    "internal_price_reason": ("internal_price",),
}
"""Reasons for unknown figures, each with the factors that are then missing."""


def applied_factors(factors: Factors, hours: Collection[str]) -> AppliedFactors:
    """All factors with value, error, citation and license.

    Args:
        factors: Factors of the price tag.
        hours: UTC hours in which energy was used; values of other hours are dropped.
    """
    fields: dict[str, Any] = {
        member.name: getattr(factors, member.name) for member in members(AppliedFactors)
    }
    for name in ("carbon_hours", "tariff_hours"):
        fields[name] = _of_hours(fields[name], hours)
    for name in ("calibrations", "peaks"):
        fields[name] = {key: fields[name][key] for key in sorted(fields[name])}
    for reason, there in REASONS.items():
        if any(fields[name] is not None for name in there):
            fields[reason] = None  # no factor is missing
    return AppliedFactors(**fields)


def read_factors(provenance: Mapping[str, Any]) -> Factors:
    """The factors in the JSON of a price tag's provenance.

    Raises:
        InvalidDocument: If a factor is missing, as in price tags of accounting version 1, or is
            invalid.
    """
    applied = Provenance.from_dict(provenance, "provenance").factors
    if applied.absent or applied.pue is None:
        missing = ", ".join(sorted(applied.absent)) or "pue"
        raise InvalidDocument(f"provenance.factors: {missing} missing")
    fields: dict[str, Any] = {
        member.name: getattr(applied, member.name) for member in members(AppliedFactors)
    }
    set_fields = {name: value for name, value in fields.items() if not _is_unset(name, value)}
    return Factors(**set_fields, site=provenance["site"], as_of=provenance["as_of"])


def _is_unset(name: str, value: Any) -> bool:
    return name in REASONS and value is None


def _of_hours(hourly: HourlyFactor | None, hours: Collection[str]) -> HourlyFactor | None:
    if hourly is None:
        return None
    used = {hour: hourly.by_hour[hour] for hour in sorted(hours) if hour in hourly.by_hour}
    return replace(hourly, by_hour=used)
