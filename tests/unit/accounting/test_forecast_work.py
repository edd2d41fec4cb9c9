"""Similar runs scaled to other work, efficiency by operations, and scores."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.forecast.estimates import Spread, between, predict
from pricetag.accounting.forecast.from_flops import (
    Seen,
    by_efficiency,
    nominal_duration_s,
    nominal_energy_kwh,
    training_flops_closed_form,
)
from pricetag.accounting.forecast.from_history import LikeRun, StepUse, Work, expect, scaled
from pricetag.accounting.forecast.score import hit, summary
from pricetag.accounting.work.flops import EncoderShape, encoder_flops

PRIOR = Spread(0.1)
POSITIVE = st.floats(1e-3, 1e6)


def run(
    *steps: StepUse, duration_s: float | None = 100.0, kwh: float | None = 1.0, name: str = "a"
) -> LikeRun:
    return LikeRun(name, duration_s, kwh, None, steps)


TRAIN = StepUse("train", Work(epochs=2.0, examples=800.0), 60.0, 0.7, 1e12)
EVALUATE = StepUse("evaluate", Work(), 20.0, 0.2, 1e11)


@pytest.mark.parametrize(
    ("planned", "other", "ratio"),
    [
        (Work(epochs=6.0), Work(epochs=2.0, examples=800.0), 3.0),
        (Work(examples=400.0), Work(epochs=2.0, examples=800.0), 0.5),
        (Work(seconds=10.0), Work(seconds=5.0), 2.0),
        (Work(), Work(), 1.0),
        (Work(epochs=0.0), Work(epochs=0.0), 1.0),
        (Work(epochs=1.0), Work(epochs=0.0), None),
        (Work(epochs=1.0), Work(examples=800.0), None),
        (Work(epochs=1.0), Work(), None),
    ],
)
def test_work_is_compared_by_a_count_that_both_report(
    planned: Work, other: Work, ratio: float | None
) -> None:
    assert planned.ratio(other) == ratio


def test_only_steps_that_grow_with_the_work_are_scaled() -> None:
    scaled_run = scaled(run(TRAIN, EVALUATE), [Work(epochs=6.0), Work()])
    assert scaled_run is not None
    assert scaled_run.duration_s == pytest.approx(100 + 2 * 60)
    assert scaled_run.it_energy_kwh == pytest.approx(1 + 2 * 0.7)
    assert [step.duration_s for step in scaled_run.steps] == [180.0, 20.0]


def test_a_run_that_cannot_be_compared_is_not_used() -> None:
    assert scaled(run(TRAIN), [Work(epochs=1.0), Work()]) is None
    assert scaled(run(TRAIN), [Work()]) is None
    assert expect([run(TRAIN)], [Work()], PRIOR) is None
    assert expect([run(TRAIN, duration_s=None, kwh=None)], None, PRIOR) is None
    silent = StepUse("train", TRAIN.work, 60.0, None)
    expectation = expect([run(silent)], [Work(epochs=4.0)], PRIOR)
    assert expectation is not None
    assert expectation.it_energy_kwh is None  # which part of it would grow is not known
    assert expectation.duration_s is not None


@given(POSITIVE, POSITIVE, st.floats(0.01, 100))
def test_scaling_to_the_same_work_changes_nothing_and_goes_both_ways(
    duration_s: float, outside_s: float, ratio: float
) -> None:
    step = StepUse("train", Work(epochs=1.0), duration_s, None)
    before = run(step, duration_s=duration_s + outside_s, kwh=None)
    assert scaled(before, [Work(epochs=1.0)]) == before
    there = scaled(before, [Work(epochs=ratio)])
    assert there is not None
    back = scaled(there, [Work(epochs=1.0)])
    assert back is not None
    # What is lost to rounding is of the size of the largest figure on the way.
    largest = max(duration_s * max(ratio, 1.0), outside_s)
    assert back.duration_s == pytest.approx(before.duration_s, abs=1e-9 * largest)


def test_other_work_makes_a_forecast_less_certain() -> None:
    same = expect([run(TRAIN)], [Work(epochs=2.0)], PRIOR)
    more = expect([run(TRAIN)], [Work(epochs=20.0)], PRIOR)
    less = expect([run(TRAIN)], [Work(epochs=0.2)], PRIOR)
    assert same is not None
    assert more is not None
    assert less is not None
    assert same.duration_s == predict([100.0], PRIOR)
    assert same.work_ratio == 1.0
    assert more.work_ratio == pytest.approx(1 + 9 * 0.7)
    assert more.duration_s is not None
    assert less.duration_s is not None
    assert more.duration_s.log_half > same.duration_s.log_half < less.duration_s.log_half


def test_efficiency_is_that_of_the_runs_nearest_in_size() -> None:
    small = [Seen(1e9, 10.0)] * 20  # mostly overhead
    large = [Seen(1e15, 1000.0)] * 20
    forecast = by_efficiency(between(1e15, 1e15), [*small, *large])
    assert forecast is not None
    assert forecast.value == pytest.approx(1000.0)
    assert by_efficiency(between(1e15, 1e15), []) is None
    alone = by_efficiency(between(1e15, 1e15), small)
    assert alone is not None
    assert alone.log_half > forecast.log_half  # carried over from far


@given(POSITIVE, st.lists(st.builds(Seen, POSITIVE, POSITIVE), min_size=1, max_size=30))
def test_an_efficiency_forecast_contains_its_median(flops: float, seen: list[Seen]) -> None:
    forecast = by_efficiency(between(flops, flops), seen)
    assert forecast is not None
    assert forecast.low <= forecast.value <= forecast.high


def test_nominal_figures_span_the_range_that_devices_reach() -> None:
    time = nominal_duration_s(between(1e18, 1e18), peak_flops_per_s=1e15, devices=2)
    assert time.low == pytest.approx(500 / 0.6)
    assert time.high == pytest.approx(500 / 0.02)
    energy = nominal_energy_kwh(time, power_limit_w=700.0, devices=2)
    assert energy.low > time.low * 2 * 700 * 0.3 / 3.6e6 * 0.5
    assert energy.high < time.high * 2 * 700 / 3.6e6 * 2
    assert energy.log_half > time.log_half


def test_the_closed_form_spans_short_and_full_texts() -> None:
    shape = EncoderShape(layers=12, hidden=768, intermediate=3072, attention=768)
    flops = training_flops_closed_form(shape, examples=1000, max_length=128)
    assert flops.high == pytest.approx(3 * 1000 * encoder_flops(shape, 128, classes=2))
    assert flops.low == pytest.approx(3 * 1000 * encoder_flops(shape, 19, classes=2))


def test_a_hit_is_in_logarithms() -> None:
    quoted = {"value": 2.0, "low": 1.0, "high": 3.9}
    scored = hit(quoted, {"value": 4.0})
    assert scored is not None
    assert scored.log_error == pytest.approx(math.log(2))
    assert not scored.inside
    assert scored.as_dict()["factor"] == 2.0
    assert hit({"value": None}, {"value": 4.0}) is None
    assert hit(quoted, {"value": None}) is None
    assert hit(quoted, {"value": 0.0}) is None


def test_a_score_of_many() -> None:
    assert summary([]) is None
    score = summary([(math.log(2), False), (-math.log(2), True), (math.log(4), True)])
    assert score is not None
    assert score.count == 3
    assert score.median_factor == pytest.approx(2.0)
    assert score.bias_factor == pytest.approx(2.0)
    assert score.inside_ratio == pytest.approx(2 / 3)
