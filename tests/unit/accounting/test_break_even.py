from __future__ import annotations

import math
import random

import pytest

from pricetag.accounting.quantity.checks import InvalidFactor
from pricetag.accounting.quantity.quantity import Quantity
from pricetag.accounting.quantity.uncertainty import Term
from pricetag.accounting.work.break_even import (
    NEVER,
    break_even,
    break_even_inferences,
    break_even_metered_alike,
)


def kwh(value: float, spread: float = 0.0) -> Quantity:
    return Quantity(value, value * (1 - spread), value * (1 + spread), "kWh", "counter")


def test_break_even_is_the_number_of_inferences_until_paid_back() -> None:
    assert break_even_inferences(2.0, 5e-6, 3e-6) == pytest.approx(1e6)
    assert break_even_inferences(2.0, 3e-6, 3e-6) is None
    assert break_even_inferences(2.0, 3e-6, 5e-6) is None
    with pytest.raises(InvalidFactor, match="compression_kwh"):
        break_even_inferences(-1.0, 2.0, 1.0)


def test_the_interval_is_from_the_best_to_the_worst_end() -> None:
    inferences = break_even(kwh(2.0, 0.1), kwh(5e-6, 0.1), kwh(3e-6, 0.1))
    assert inferences.value == pytest.approx(1e6)
    assert inferences.low == pytest.approx(1.8 / 2.8e-6)
    assert inferences.high == pytest.approx(2.2 / 1.2e-6)
    assert inferences.source == "counter"


def test_unknown_and_uncertain_savings_have_a_reason() -> None:
    unknown = break_even(Quantity.unknown("kWh", "no meter"), kwh(2.0), kwh(1.0))
    assert unknown.reason == "the energy of compression is unknown: no meter"
    within = break_even(kwh(2.0), kwh(5.0, 0.3), kwh(4.0, 0.3))
    assert within.value is None
    assert "within its error" in (within.reason or "")
    dearer = break_even(kwh(2.0), kwh(4.0), kwh(5.0))
    assert dearer.reason == "an inference has not become cheaper"


def gpu(value: float, own: float = 0.0) -> Term:
    return Term(value, "gpu:A100", 0.05, own)


def test_the_gain_of_one_meter_cancels() -> None:
    break_even = break_even_metered_alike([gpu(1.5), gpu(0.5)], [gpu(5e-6)], [gpu(3e-6)], "counter")
    assert break_even.value == pytest.approx(1e6)
    assert break_even.low == break_even.value == break_even.high
    assert break_even.source == "counter"


def test_errors_of_a_window_alone_do_not_cancel() -> None:
    break_even = break_even_metered_alike([gpu(2.0, 0.04)], [gpu(5e-6)], [gpu(3e-6)], "counter")
    assert break_even.low == pytest.approx(1e6 * (1 - 1.96 * 0.04), rel=0.002)
    assert break_even.high == pytest.approx(1e6 * (1 + 1.96 * 0.04), rel=0.002)


def test_another_mix_of_components_lets_a_part_of_the_gains_through() -> None:
    """Against an independent simulation: log-normal gains of a processor and of memory."""

    def host(cpu: float, ram: float) -> list[Term]:
        return [
            Term(cpu, "cpu:model", 0.45, multiplicative=True),
            Term(ram, "ram:model", 1.0, multiplicative=True),
        ]

    break_even = break_even_metered_alike(
        host(3.0, 1.0), host(4e-6, 4e-6), host(1e-6, 3e-6), "modelled"
    )
    rng = random.Random(7)
    drawn = []
    for _ in range(40_000):
        cpu = math.exp(rng.gauss(0, math.log(1.45)))
        ram = math.exp(rng.gauss(0, math.log(2.0)))
        drawn.append((3 * cpu + ram) / (3e-6 * cpu + 1e-6 * ram))
    drawn.sort()
    assert break_even.value == pytest.approx(1e6)
    assert break_even.low == pytest.approx(drawn[1_000], rel=0.02)
    assert break_even.high == pytest.approx(drawn[39_000], rel=0.02)


def test_a_saving_may_be_zero_or_within_its_error() -> None:
    never = break_even_metered_alike([gpu(2.0)], [gpu(3e-6)], [gpu(5e-6)], "counter")
    assert (never.value, never.reason) == (None, NEVER)
    same = break_even_metered_alike([gpu(2.0)], [gpu(3e-6)], [gpu(3e-6)], "counter")
    assert same.reason == NEVER
    perhaps = break_even_metered_alike(
        [gpu(2.0)], [gpu(3.00e-6, 0.01)], [gpu(3.01e-6, 0.01)], "counter"
    )
    assert perhaps.reason == f"{NEVER}, within the error"
    within = break_even_metered_alike(
        [gpu(2.0)], [gpu(3.01e-6, 0.01)], [gpu(3.00e-6, 0.01)], "counter"
    )
    assert within.value is None
    assert within.reason == "about 2e+08, but the saving is within its error"
