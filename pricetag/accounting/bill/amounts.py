"""Money, in decimal arithmetic: rented device-hours, electricity, owned hardware."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from pricetag.accounting.quantity.checks import InvalidFactor

Number = Decimal | int | float | str


@dataclass(frozen=True, slots=True)
class CostRange:
    """An amount of money as a range from a low to a high price, in one currency."""

    low: Decimal
    high: Decimal

    @property
    def middle(self) -> Decimal:
        """The middle of the range."""
        return (self.low + self.high) / 2


MOST = Decimal("1e18")
"""Amounts above this are typing errors, in any currency or unit."""


def amount(field: str, value: Number) -> Decimal:
    """A value as a non-negative decimal, by its shortest notation.

    Raises:
        InvalidFactor: If it is not a number from 0 to 10^18.
    """
    expected = "an amount of at least 0 and at most 1e18"
    spelled = isinstance(value, str) and ("_" in value or not value.isascii())
    if isinstance(value, bool) or spelled:
        raise InvalidFactor(field, value, expected)
    try:
        # Through str: Decimal(0.43) would include the binary digits of the float.
        decimal = Decimal(str(value))
    except InvalidOperation:
        raise InvalidFactor(field, value, expected) from None
    if not decimal.is_finite() or not 0 <= decimal <= MOST:
        raise InvalidFactor(field, value, expected)
    return decimal


def device_hours_cost(
    device_hours: Number, price_low_per_device_hour: Number, price_high_per_device_hour: Number
) -> CostRange:
    """Cost of device-hours, from the low price (preemptible) to the high price (on demand).

    Raises:
        InvalidFactor: If a figure is negative, or the low price above the high one.
    """
    hours = amount("device_hours", device_hours)
    low = amount("price_low_per_device_hour", price_low_per_device_hour)
    high = amount("price_high_per_device_hour", price_high_per_device_hour)
    if low > high:
        expected = f"a price that is not above the high price, {high}"
        raise InvalidFactor("price_low_per_device_hour", price_low_per_device_hour, expected)
    return CostRange(hours * low, hours * high)
