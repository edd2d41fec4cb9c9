"""Amounts in messages about budgets: figures with units, however small or large."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.services.budgets.texts import amount, figure
from models import Budget


def budget(limit: str, metric: str = "facility_energy_kwh", currency: str | None = None) -> Budget:
    return Budget(name="b", metric=metric, currency=currency, amount=Decimal(limit), period="month")


@pytest.mark.parametrize(
    ("value", "limit", "text"),
    [
        ("0.6", "1", "0.6 kWh"),
        ("0", "1", "0 kWh"),
        ("1E-7", "1", "100 µWh"),
        ("1E-7", "0", "100 µWh"),
        ("1E-7", "1E-7", "100 µWh"),
        ("0.0008", "0.0001", "800 mWh"),
        ("12.345", "250", "12.35 kWh"),
        ("123456", "250", "123.5 MWh"),
        ("1234567890123", "1", "1,234,568 GWh"),
    ],
)
def test_amounts_share_the_unit_of_the_limit_where_they_read_well(
    value: str, limit: str, text: str
) -> None:
    assert figure(Decimal(value), budget(limit)) == text


def test_emissions_and_money_have_their_units() -> None:
    assert amount(budget("0.004", "co2e_kg")) == "4 g this month"
    assert figure(Decimal(5), budget("40", "cost", "USD")) == "5 USD"
    assert figure(Decimal("1234567"), budget("40", "cost", "USD")) == "1,234,567 USD"
    assert figure(Decimal("0.0001"), budget("40", "cost", "USD")) == "0.000100 USD"
