"""Intervals of many sums at once equal those of each by itself, to the last digit."""

from __future__ import annotations

import random

import pytest

from app.services.energy.intervals import CHUNK, ends_of, intervals
from pricetag.accounting.quantity.uncertainty import (
    Error,
    Multiplier,
    combine,
    combine_each,
    terms_of,
)

GPU: Error = ("gpu:H200", 0.05, False)
CALIBRATED: Error = ("gpu:H200", 0.01, False)
CPU: Error = ("cpu:model", 0.45, True)
RAM: Error = ("ram:model", 1.0, True)


@pytest.mark.parametrize(
    "errors",
    [
        (GPU,),
        (GPU, CALIBRATED),
        (CPU,),
        (CPU, CPU),
        (CPU, RAM),
        (GPU, CPU),
        (CPU, GPU, RAM, CPU),  # two products of one model share its error
        (GPU, CALIBRATED, CPU, RAM),
    ],
)
def test_each_interval_is_that_of_the_sum_alone(errors: tuple[Error, ...]) -> None:
    draw = random.Random(len(errors))
    sums = []
    for number in range(3 * CHUNK):
        values = [draw.choice([0.0, draw.uniform(0, 3), draw.uniform(-1, 1)]) for _ in errors]
        if number % 3:  # similar ones, as the hours of a month are
            values = [draw.gauss(1 / (place + 1), 0.02) for place in range(len(errors))]
        if sum(values) < 0:
            values = [-value for value in values]
        sums.append((errors, values))
    assert intervals(sums) == combine_each(sums)
    assert intervals(sums, seed=3) == combine_each(sums, seed=3)


def test_different_errors_may_be_mixed_and_a_sum_may_be_zero() -> None:
    sums = [
        ((GPU, CPU), [1.0, 2.0]),
        ((GPU,), [3.0]),
        ((GPU, CPU), [0.0, 0.0]),
        ((RAM,), [0.1]),
        ((GPU, CPU), [1.0, -1.0]),
    ]
    assert intervals(sums) == combine_each(sums)
    assert intervals([]) == []


def test_a_sum_times_factors_has_the_interval_of_the_sum_alone() -> None:
    draw = random.Random(7)
    factors = [
        Multiplier("pue", 0.1, least_ratio=0.8),
        Multiplier("carbon_intensity", 0.3, True),
        Multiplier("exact", 0.0),
    ]
    for errors in ((GPU,), (GPU, CPU), (CPU, RAM, CPU)):
        for multipliers in (factors[:1], factors[:2], factors):
            terms = terms_of(errors, [draw.uniform(0, 3) for _ in errors])
            expected = combine(terms, multipliers, seed=5)
            assert combine(terms, multipliers, seed=5, ends_of=ends_of) == expected
