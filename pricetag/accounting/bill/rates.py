"""Rates by which energy is multiplied: a constant factor, or hourly factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pricetag.accounting.bill.inputs import Factor, HourlyFactor
from pricetag.accounting.quantity.quantity import Source
from pricetag.accounting.quantity.uncertainty import Multiplier, log_sigma

ROUNDING_RATIO = 1e-9
"""Rounding error of the sum of a window's hours, in J."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A factor of a product; ``flat``, ``hours`` or both must be known.

    Attributes:
        name: Name in the error budget; rates with equal names share their error.
        flat: Constant factor, used for all hours that ``hours`` does not contain.
        hours: Hourly factors.
        least: Smallest possible value of the constant factor, if it has one.
    """

    name: str
    flat: Factor | None
    hours: HourlyFactor | None = None
    least: float | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """Energy to which a rate is applied: in total, and by UTC hour."""

    energy_j: float
    by_hour_j: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Applied:
    """A rate applied to energies.

    Attributes:
        values: Applied value for each energy.
        mean: Energy-weighted mean of the values.
        hourly_share_ratio: Share of the energy with hourly values.
        multiplier: The error of the product.
        sources: Evidence of the applied values.
    """

    values: tuple[float, ...]
    mean: float
    hourly_share_ratio: float
    multiplier: Multiplier
    sources: tuple[Source, ...]


class RateMissing(ValueError):  # noqa: N818 - the name states the problem
    """A rate has no value for a part of the energy."""


def apply(rate: Rate, uses: Sequence[Use]) -> Applied:
    """Applies a rate: each energy is multiplied by the energy-weighted mean of its hours.

    Hours without a value use the flat one. The errors of both add linearly, weighted by their
    parts of the product, since the values of one grid have a common error.

    Raises:
        RateMissing: If neither applies to a part of the energy.
    """
    if rate.hours is None:
        return _flat(rate, uses)
    hours, flat = rate.hours, rate.flat
    values: list[float] = []
    total_j = hourly_j = hourly_product = flat_product = 0.0
    for use in uses:
        joules_by_hour = {hour: j for hour, j in use.by_hour_j.items() if hour in hours.by_hour}
        inside_j = sum(joules_by_hour.values())
        rest_j = max(use.energy_j - inside_j, 0.0)
        if rest_j <= ROUNDING_RATIO * use.energy_j:
            rest_j = 0.0
        inside = sum(energy_j * hours.by_hour[hour] for hour, energy_j in joules_by_hour.items())
        outside = rest_j * _flat_value(rate, rest_j)
        whole_j = inside_j + rest_j
        fallback = hours.factor if flat is None else flat
        values.append((inside + outside) / whole_j if whole_j > 0 else fallback.value)
        total_j += whole_j
        hourly_j += inside_j
        hourly_product += inside
        flat_product += outside
    return _applied(rate, hours, values, total_j, hourly_j, hourly_product, flat_product)


def _flat(rate: Rate, uses: Sequence[Use]) -> Applied:
    flat = rate.flat
    if flat is None:
        raise RateMissing(f"no {rate.name} is known")
    multiplier = (
        Multiplier(rate.name, flat.relative_std_ratio, flat.multiplicative)
        if rate.least is None
        else bounded(rate.name, flat, rate.least)
    )
    return Applied((flat.value,) * len(uses), flat.value, 0.0, multiplier, (flat.source,))


def bounded(name: str, factor: Factor, least: float) -> Multiplier:
    """The error of a factor that cannot be below ``least``; none if it is exactly that."""
    std_ratio = factor.relative_std_ratio
    if factor.value <= least:
        std_ratio = 0.0
    elif factor.multiplicative:
        std_ratio = log_sigma(std_ratio)
    return Multiplier(name, std_ratio, least_ratio=min(least / factor.value, 1.0))


def _flat_value(rate: Rate, rest_j: float) -> float:
    if rest_j == 0:
        return 0.0
    if rate.flat is None:
        raise RateMissing(
            f"no {rate.name} is known for some of the hours, and none that holds at any time"
        )
    return rate.flat.value


def _applied(
    rate: Rate,
    hours: HourlyFactor,
    values: Sequence[float],
    total_j: float,
    hourly_j: float,
    hourly_product: float,
    flat_product: float,
) -> Applied:
    used = [hours.factor] if hourly_j > 0 or rate.flat is None else []
    if rate.flat is not None and (flat_product > 0 or not used):
        used.append(rate.flat)
    product = hourly_product + flat_product
    share = hourly_product / product if product > 0 else 0.0
    flat_ratio = 0.0 if rate.flat is None else rate.flat.relative_std_ratio
    std_ratio = share * hours.factor.relative_std_ratio + (1 - share) * flat_ratio
    if product <= 0:
        std_ratio = max(factor.relative_std_ratio for factor in used)
    return Applied(
        values=tuple(values),
        mean=product / total_j if total_j > 0 else used[0].value,
        hourly_share_ratio=hourly_j / total_j if total_j > 0 else 0.0,
        multiplier=Multiplier(rate.name, std_ratio, any(f.multiplicative for f in used)),
        sources=tuple(factor.source for factor in used),
    )
