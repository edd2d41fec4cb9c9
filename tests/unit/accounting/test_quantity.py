from __future__ import annotations

import json

import pytest

from pricetag.accounting.quantity.quantity import Quantity, weakest


def test_quantities_have_their_wire_form() -> None:
    energy = Quantity(2.0, 1.5, 2.5, "kWh", "counter")
    assert energy.as_dict() == {
        "value": 2.0,
        "low": 1.5,
        "high": 2.5,
        "unit": "kWh",
        "source": "counter",
    }
    unknown = Quantity.unknown("kg", "no zone").as_dict()
    assert json.loads(json.dumps(unknown))["reason"] == "no zone"
    assert unknown["value"] is None


@pytest.mark.parametrize(
    "wrong",
    [
        (None, None, None, "kWh", None, None),
        (None, None, None, "kWh", "counter", "why"),
        (1.0, 1.0, 1.0, "kWh", None, None),
        (1.0, 2.0, 3.0, "kWh", "counter", None),
        (1.0, None, 3.0, "kWh", "counter", None),
    ],
)
def test_inconsistent_quantities_are_rejected(wrong: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match="kWh"):
        Quantity(*wrong)  # type: ignore[arg-type]


def test_a_product_has_its_weakest_evidence() -> None:
    assert weakest("counter", "assumed", "modelled") == "assumed"
