"""Verdicts: held, not held, not decided; and what the noise is."""

from __future__ import annotations

import math
from typing import Any

import pytest
from scipy import stats

from benchmarks.methods.claims import Claim, decide
from benchmarks.methods.results import CHANCE, ONE_CLASS, TIME_RATIO
from benchmarks.methods.statistics import (
    DifferentDataError,
    Sample,
    difference,
    no_better_than_one_class,
    noise_log_sd,
    paired_ratio,
)


def seeds(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


SAMPLES = {
    ("low", "score"): Sample(seeds(0.70, 0.712, 0.718), 872),
    ("high", "score"): Sample(seeds(0.80, 0.81, 0.82), 872),
    ("like high", "score"): Sample(seeds(0.79, 0.81, 0.82), 872),
    ("slightly below", "score"): Sample(seeds(0.804, 0.806, 0.805), 872),
    ("one low", "score"): Sample(seeds(0.70), 872),
    ("one high", "score"): Sample(seeds(0.82), 872),
    ("one near", "score"): Sample(seeds(0.80), 872),
    ("another seed", "score"): Sample({7: 0.5}, 872),
    ("constant", "score"): Sample(seeds(0.509), 872, learned_nothing=ONE_CLASS),
    ("guess", "score"): Sample(seeds(0.53), 872, learned_nothing=CHANCE),
    ("of a", "score"): Sample(seeds(0.9, 0.91, 0.93), 872, inputs="a"),
    ("of b", "score"): Sample(seeds(0.7, 0.71, 0.73), 872, inputs="b"),
    ("correlation", "score"): Sample(seeds(0.3)),
    ("fast", TIME_RATIO): Sample(seeds(0.5, 0.51, 0.49)),
    ("slow", TIME_RATIO): Sample(seeds(1.01, 1.00, 1.02)),
    ("unsteady", TIME_RATIO): Sample(seeds(0.6, 1.3, 0.9)),
    ("timed twice", TIME_RATIO): Sample(seeds(0.5, 0.51)),
    ("small", "metric.after"): Sample(seeds(0.02)),
    ("small", "metric.before"): Sample(seeds(0.04)),
    ("small", "bytes"): Sample(seeds(25.0)),
    ("large", "bytes"): Sample(seeds(100.0)),
}


def lookup(name: str, figure: str) -> Sample | None:
    return SAMPLES.get((name, figure))


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        ({"above": ["high", "low"]}, "held"),
        ({"above": ["low", "high"]}, "not held"),
        ({"above": ["high", "like high"]}, "not decided"),
        ({"above": ["one high", "one low"]}, "held"),
        ({"above": ["one low", "one high"]}, "not held"),
        ({"above": ["one high", "one near"]}, "not decided"),
        ({"above": ["one high", "low"]}, "held"),
        ({"above": ["high", "another seed"]}, "not decided"),
        ({"above": ["high", "constant"]}, "not decided"),
        ({"above": ["constant", "high"]}, "not decided"),
        ({"above": ["high", "guess"]}, "not decided"),
        ({"within": ["high", "constant"], "points": 1}, "not decided"),
        ({"within_sd": ["high", "guess"]}, "not decided"),
        ({"above": ["of a", "of b"]}, "not decided"),
        ({"time": ["fast", "teacher"], "at_most": 0.95}, "held"),
        ({"time": ["slow", "teacher"], "at_most": 0.95}, "not held"),
        ({"time": ["slow", "teacher"], "at_least": 0.95}, "held"),
        ({"time": ["unsteady", "teacher"], "at_most": 0.95}, "not decided"),
        ({"time": ["timed twice", "teacher"], "at_most": 0.95}, "not decided"),
        ({"time": ["not timed", "teacher"], "at_most": 0.95}, "not decided"),
        ({"first": [{"above": ["high", "not run"]}, {"above": ["low", "high"]}]}, "not held"),
        ({"first": [{"above": ["high", "low"]}, {"above": ["low", "high"]}]}, "held"),
        ({"above": ["correlation", "correlation"]}, "not decided"),
        ({"above": ["high", "not run"]}, "not decided"),
        ({"within": ["high", "low"], "points": 1}, "held"),
        ({"within": ["low", "high"], "points": 1}, "not held"),
        ({"within": ["low", "high"], "points": 15}, "held"),
        ({"within": ["like high", "high"], "points": 1}, "not decided"),
        ({"within_sd": ["slightly below", "high"]}, "held"),
        ({"within_sd": ["low", "high"]}, "not held"),
        ({"within_sd": ["one high", "one low"]}, "not decided"),
        ({"ratio": ["small", "large"], "of": "bytes", "at_most": 0.25}, "held"),
        ({"ratio": ["small", "large"], "of": "bytes", "at_most": 0.24}, "not held"),
        ({"ratio": ["small", "large"], "of": "bytes", "at_least": 0.25}, "held"),
        ({"ratio": ["small", "large"], "of": "bytes", "at_least": 0.26}, "not held"),
        (
            {
                "ratio": ["small", "small"],
                "of": "metric.after",
                "to": "metric.before",
                "at_most": 0.5,
            },
            "held",
        ),
        (
            {
                "ratio": ["small", "small"],
                "of": "metric.before",
                "to": "metric.after",
                "at_most": 1,
            },
            "not held",
        ),
        ({"ratio": ["small", "not run"], "of": "bytes", "at_least": 0.26}, "not decided"),
    ],
)
def test_verdict_of_a_rule(rule: dict[str, Any], verdict: str) -> None:
    assert decide(rule, lookup).verdict == verdict


@pytest.mark.parametrize(
    ("pairs", "verdict"),
    [
        ([["high", "low"], ["one high", "one low"]], "held"),
        ([["high", "low"], ["high", "like high"]], "not decided"),
        ([["high", "like high"], ["low", "high"]], "not held"),
    ],
)
def test_all_rules_must_hold(pairs: list[list[str]], verdict: str) -> None:
    assert decide({"all": [{"above": pair} for pair in pairs]}, lookup).verdict == verdict


def test_an_unknown_rule_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown rule"):
        decide({"beside": ["high", "low"]}, lookup)


def test_figures_are_in_the_text() -> None:
    text = decide({"above": ["high", "low"]}, lookup).text
    assert text.startswith("81.0 ± 1.0 against 71.0 ± 0.9: +10.0 points (95%: ")
    assert decide({"above": ["high", "not run"]}, lookup).text == "score of not run is not known"


def test_a_claim_without_a_rule_gives_its_reason() -> None:
    claim = Claim("id", "claim", "source", not_testable="needs a GPU")
    assert claim.runs() == []
    outcome = claim.decide(lookup)
    assert (outcome.verdict, outcome.text) == ("not testable here", "needs a GPU")


def test_a_claim_names_the_runs_of_all_its_rules() -> None:
    rule = {"all": [{"above": ["a", "b"]}, {"ratio": ["a", "c"], "of": "bytes", "at_most": 1}]}
    assert Claim("id", "claim", "source", rule).runs() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("rule", "needs"),
    [
        ({"above": ["one high", "one near"]}, "seeds"),
        ({"above": ["high", "constant"]}, "budget"),
        ({"above": ["high", "not run"]}, "missing"),
        ({"above": ["of a", "of b"]}, "data"),
        ({"time": ["timed twice", "teacher"], "at_most": 0.95}, "time"),
        ({"above": ["high", "low"]}, None),
    ],
)
def test_an_open_verdict_says_what_would_decide_it(rule: dict[str, Any], needs: str | None) -> None:
    assert decide(rule, lookup).needs == needs


def test_the_interval_over_seeds_is_that_of_paired_differences() -> None:
    one, other = (0.81, 0.84, 0.80, 0.86), (0.79, 0.83, 0.77, 0.85)
    gap = difference(Sample(seeds(*one)), Sample(seeds(*other)))
    expected = stats.ttest_rel(one, other).confidence_interval(0.95)
    assert gap.low == pytest.approx(expected.low)
    assert gap.high == pytest.approx(expected.high)
    assert "4 seeds, paired" in gap.basis


def test_only_seeds_of_both_sides_are_compared() -> None:
    first = Sample({0: 0.9, 1: 0.8, 2: 0.7, 5: 0.1}, 872)
    second = Sample({0: 0.8, 1: 0.75, 2: 0.62, 9: 0.99}, 872)
    assert difference(first, second).value == pytest.approx((0.1 + 0.05 + 0.08) / 3)


def test_different_data_are_not_compared() -> None:
    with pytest.raises(DifferentDataError):
        difference(Sample(seeds(0.9), 872, inputs="a"), Sample(seeds(0.8), 872, inputs="b"))
    assert "different data" in decide({"above": ["of a", "of b"]}, lookup).text


def right(*numbers: int, of: int = 200) -> list[bool]:
    wrong = set(numbers)
    return [number not in wrong for number in range(of)]


def test_with_one_seed_the_sentences_are_paired_by_the_predictions() -> None:
    """Models that err on nearly the same sentences differ by less than two random samples."""
    first, second = right(*range(40)), right(*range(46))
    samples = [Sample(seeds(sum(each) / 200), 200, right={0: each}) for each in (first, second)]
    gap = difference(*samples)
    # Agresti and Min 2005: 6 + 0.5 and 0 + 0.5 discordant pairs of 202.
    center, square = 6 / 202, 7 / 202
    half = 1.959964 * math.sqrt((square - center**2) / 202)
    assert gap.low == pytest.approx(center - half)
    assert gap.high == pytest.approx(center + half)
    assert gap.basis == "one seed, paired sentences"
    unpaired = difference(*(Sample(each.values, 200) for each in samples))
    assert unpaired.low is not None
    assert gap.low is not None
    assert unpaired.low < gap.low


def test_equal_predictions_still_have_an_interval() -> None:
    same = Sample(seeds(0.8), 200, right={0: right(*range(40))})
    gap = difference(same, same)
    assert gap.low is not None
    assert gap.high is not None
    assert gap.low < 0 < gap.high


def test_seeds_without_spread_have_the_noise_of_the_sentences() -> None:
    """Models that give one class score the same with every seed, which decides nothing."""
    assert difference(Sample(seeds(0.5, 0.5)), Sample(seeds(0.4, 0.4))).low is None
    three = Sample(seeds(0.509, 0.509, 0.509), 872), Sample(seeds(0.491, 0.491, 0.491), 872)
    gap = difference(*three)
    assert gap.low is not None
    assert gap.high is not None
    assert gap.low < 0 < gap.high


@pytest.mark.parametrize(
    ("share", "is_chance"), [(0.509, True), (0.491, True), (0.53, True), (0.56, False)]
)
def test_a_score_near_the_most_frequent_class_is_chance(share: float, is_chance: bool) -> None:
    assert no_better_than_one_class(share, 444 / 872, 872) is is_chance


def test_ratios_of_rounds_are_averaged_as_logarithms() -> None:
    ratio, low, high = paired_ratio([0.5, 2.0, 1.0])
    assert ratio == pytest.approx(1.0)
    assert low * high == pytest.approx(1.0)
    half = stats.t.ppf(0.975, 2) * math.log(2) / math.sqrt(3)
    assert high == pytest.approx(math.exp(half))


@pytest.mark.parametrize(
    ("ratio", "limits", "verdict"),
    [
        (0.5, {"at_most": 0.95}, "held"),
        (0.9, {"at_most": 0.95}, "not decided"),
        (1.0, {"at_least": 0.95}, "not decided"),
        (1.5, {"at_most": 0.95}, "not held"),
        (1.5, {"at_least": 0.95}, "held"),
        (0.5, {"at_least": 0.95}, "not held"),
    ],
)
def test_a_ratio_of_times_has_the_noise_of_measurements(
    ratio: float, limits: dict[str, float], verdict: str
) -> None:
    timed = {name: Sample(seeds(v), noise_log_sd=0.1) for name, v in (("a", ratio), ("b", 1.0))}
    rule = {"ratio": ["a", "b"], "of": "inference_kwh", **limits}
    outcome = decide(rule, lambda name, figure: timed[name])
    assert outcome.verdict == verdict
    assert "noise of measurements" in outcome.text


def test_the_noise_is_the_spread_within_groups_of_equal_models() -> None:
    assert noise_log_sd([[1.0], [2.0]]) is None
    assert noise_log_sd([[1.0, math.e**2], [5.0, 5.0]]) == pytest.approx(1.0)


def test_with_one_seed_the_sentences_are_the_noise() -> None:
    gap = difference(Sample(seeds(0.8), 872), Sample(seeds(0.7), 872))
    half = 1.96 * math.sqrt(0.8 * 0.2 / 872 + 0.7 * 0.3 / 872)
    assert gap.low == pytest.approx(0.1 - half, rel=1e-4)
    assert gap.high == pytest.approx(0.1 + half, rel=1e-4)
    assert difference(Sample(seeds(0.8)), Sample(seeds(0.7))).low is None
