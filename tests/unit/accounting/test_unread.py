"""The last moment of a lost attempt: a bound beside the energy, never a part of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.document.versions import ACCOUNTING_VERSION
from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.reading import Reading
from pricetag.accounting.readings.unread import unread_bound_j
from tests.support.price_tags import owned_run

CARD = Component("gpu:a", "gpu", "Card", "counter", 0.05, power_limit_w=700.0)
HALF = replace(CARD, reserved_ratio=0.5, baseline_w=100.0)
SLOW = [Reading(float(t), 200.0 * t, None, None) for t in range(5)]
FAST = [*SLOW, Reading(5.0, 1300.0, None, None), Reading(5.1, 1300.0, None, None)]


@pytest.mark.parametrize(
    ("component", "readings", "until_s", "counter_j", "bound_j"),
    [
        (CARD, SLOW, 5.5, None, 300.0),
        (CARD, FAST, 6.6, None, 750.0),  # the highest power, not the mean
        (CARD, FAST, 6.6, 1400.0, 100.0),  # the counter knows better
        (CARD, FAST, 6.6, 1200.0, 750.0),  # it was reset
        (CARD, SLOW, 4.0, None, 0.0),
        (CARD, SLOW[:1], 1.5, None, 1050.0),  # a single reading: the device's limit
        (replace(CARD, power_limit_w=None), SLOW[:1], 1.5, None, None),
        (replace(CARD, power_limit_w=None), SLOW[:1], 1.5, 90.0, 90.0),
        (CARD, [], 1.5, None, None),
        (CARD, SLOW, 64.0, None, 12_000.0),
        (CARD, SLOW, 104.0, None, 70_000.0),  # too long for the readings: the device's limit
        (CARD, SLOW, 104.0, 1800.0, 1000.0),
        (replace(CARD, power_limit_w=None), SLOW, 104.0, None, 20_000.0),
        (HALF, SLOW, 5.5, None, 150.0),  # charged by its reserved half
    ],
)
def test_the_bound_is_by_the_highest_power_and_by_the_counter(
    component: Component,
    readings: list[Reading],
    until_s: float,
    counter_j: float | None,
    bound_j: float | None,
) -> None:
    bound = unread_bound_j(component, readings, until_s, counter_j)
    assert bound == (None if bound_j is None else pytest.approx(bound_j))


def test_the_interval_extends_by_the_bound_and_the_energy_does_not() -> None:
    inputs = replace(owned_run(), accounting_version=ACCOUNTING_VERSION)
    [attempt] = inputs.attempts
    component = attempt.components[0]
    unread = {component.id: 36_000.0}
    plain = build_price_tag(inputs)
    lost = build_price_tag(replace(inputs, attempts=(replace(attempt, unread_j=unread),)))
    before, after = plain.energy.it_energy_kwh, lost.energy.it_energy_kwh
    assert after.value == before.value
    assert after.low == before.low
    assert before.high is not None
    assert after.high is not None
    assert 0.0102 < after.high - before.high < 0.0106  # calibrated by 1.02, with its error
    assert "end_unread" in lost.energy.flags
    assert "end_unread" not in plain.energy.flags
    [error] = [one.error for one in lost.energy.components if one.id == component.id]
    assert error is not None
    assert error.unread_kwh is not None
    assert error.unread_kwh >= 0.01
    causes = [cause.term for cause in lost.uncertainty.it_energy]
    assert "last moment of lost attempts, which was not read" in causes


def test_without_an_unread_end_nothing_changes() -> None:
    inputs = replace(owned_run(), accounting_version=ACCOUNTING_VERSION)
    [attempt] = inputs.attempts
    same = replace(inputs, attempts=(replace(attempt, unread_j={}),))
    assert build_price_tag(same).as_dict() == build_price_tag(inputs).as_dict()
    assert "unread_kwh" not in str(build_price_tag(inputs).as_dict())


def test_stages_that_ended_before_are_not_affected() -> None:
    inputs = replace(owned_run(), accounting_version=ACCOUNTING_VERSION)
    [attempt] = inputs.attempts
    unread = dict.fromkeys([component.id for component in attempt.components], 1000.0)
    tag = build_price_tag(replace(inputs, attempts=(replace(attempt, unread_j=unread),)))
    for stage, source in zip(tag.stages, attempt.stages, strict=True):
        reaches_end = source.end_s == attempt.duration_s
        assert ("end_unread" in stage.energy.flags) is reaches_end
