from __future__ import annotations

import pytest

from pricetag.accounting.break_even import break_even, break_even_inferences
from pricetag.accounting.checks import InvalidFactor
from pricetag.accounting.quantity import Quantity


def kwh(value: float, spread: float = 0.0) -> Quantity:
    return Quantity(value, value * (1 - spread), value * (1 + spread), "kWh", "counter")


def test_inferences_until_paid_back() -> None:
    assert break_even_inferences(2.0, 5e-6, 3e-6) == pytest.approx(1e6)
    assert break_even_inferences(2.0, 3e-6, 3e-6) is None
    assert break_even_inferences(2.0, 3e-6, 5e-6) is None
    with pytest.raises(InvalidFactor, match="compression_kwh"):
        break_even_inferences(-1.0, 2.0, 1.0)


def test_the_interval_is_from_the_best_to_the_worst_end() -> None:
    found = break_even(kwh(2.0, 0.1), kwh(5e-6, 0.1), kwh(3e-6, 0.1))
    assert found.value == pytest.approx(1e6)
    assert found.low == pytest.approx(1.8 / 2.8e-6)
    assert found.high == pytest.approx(2.2 / 1.2e-6)
    assert found.source == "counter"


def test_unknown_and_uncertain_savings_have_a_reason() -> None:
    unknown = break_even(Quantity.unknown("kWh", "no meter"), kwh(2.0), kwh(1.0))
    assert unknown.reason == "the energy of compression is unknown: no meter"
    within = break_even(kwh(2.0), kwh(5.0, 0.3), kwh(4.0, 0.3))
    assert within.value is None
    assert "within its error" in (within.reason or "")
    dearer = break_even(kwh(2.0), kwh(4.0), kwh(5.0))
    assert dearer.reason == "an inference has not become cheaper"
