from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting import units


def test_exact_constants() -> None:
    assert units.kwh_to_joules(1.0) == 3_600_000.0
    assert units.kg_to_lb(0.45359237) == 1.0
    assert units.seconds_to_hours(5_400.0) == 1.5
    assert units.kg_to_grams(0.954 * units.KG_PER_LB) == pytest.approx(432.72712098, rel=1e-15)
    assert units.power_to_kwh(1_500.0, 2.0) == 3.0


@given(st.floats(0, 1e12))
def test_conversions_round_trip(value: float) -> None:
    assert units.joules_to_kwh(units.kwh_to_joules(value)) == pytest.approx(value)
    assert units.grams_to_kg(units.kg_to_grams(value)) == pytest.approx(value)
