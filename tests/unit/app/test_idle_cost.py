"""What the idle devices of the lab cost a day."""

from __future__ import annotations

import pytest

from app.schemas.common import Quantity
from app.schemas.overview import IdleDevice
from app.services.overview.idle import cost_per_day
from pricetag.accounting.quantity.quantity import Source


def cost(
    value: float, low: float | None = None, high: float | None = None, unit: str = "EUR"
) -> Quantity:
    return Quantity(value=value, low=low, high=high, unit=unit, source="estimated")


def unknown(reason: str = "no tariff is known", unit: str = "") -> Quantity:
    return Quantity(value=None, low=None, high=None, unit=unit, source=None, reason=reason)


def idle(cost: Quantity) -> IdleDevice:
    return IdleDevice(
        node="n",
        component="gpu:1",
        name="H200",
        site=None,
        idle_w=Quantity(value=70.0, low=None, high=None, unit="W", source="counter"),
        energy_per_day=Quantity(value=2.0, low=None, high=None, unit="kWh", source="counter"),
        cost_per_day=cost,
    )


def total(*costs: Quantity) -> Quantity:
    return cost_per_day([idle(each) for each in costs])


@pytest.mark.parametrize("source", ["assumed", "modelled"])
def test_the_sum_has_the_sums_of_the_ends_and_the_weakest_source(source: Source) -> None:
    first = cost(1.0, 0.5, 2.0).model_copy(update={"source": source})
    summed = total(first, cost(2.0, 1.5, 3.0))
    assert (summed.value, summed.low, summed.high, summed.unit) == (3.0, 2.0, 5.0, "EUR")
    assert summed.source == ("assumed" if source == "assumed" else "estimated")
    assert summed.reason is None


def test_without_the_interval_of_one_the_sum_has_none() -> None:
    summed = total(cost(1.0, 0.5, 2.0), cost(2.0))
    assert (summed.value, summed.low, summed.high) == (3.0, None, None)


def test_a_sum_without_some_costs_is_a_lower_bound() -> None:
    summed = total(cost(1.0), unknown(), unknown())
    assert (summed.value, summed.reason) == (1.0, "at least: the cost of 2 devices is unknown")


@pytest.mark.parametrize(
    ("costs", "reason"),
    [
        ((), "no accelerator or CPU node is idle"),
        ((unknown(), unknown("another reason")), "no tariff is known"),
        (
            (cost(1.0, unit="USD"), cost(1.0), unknown()),
            "the costs are in several currencies (EUR, USD)",
        ),
    ],
)
def test_an_unknown_sum_has_its_reason(costs: tuple[Quantity, ...], reason: str) -> None:
    summed = total(*costs)
    assert (summed.value, summed.source, summed.reason) == (None, None, reason)
