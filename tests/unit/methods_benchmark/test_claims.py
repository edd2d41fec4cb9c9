"""Verdicts: held, not held, not decided; and what the noise is."""

from __future__ import annotations

import math
from typing import Any

import pytest
from scipy import stats

from benchmarks.methods.claims import Claim, decide
from benchmarks.methods.statistics import Sample, difference, noise_log_sd

SAMPLES = {
    ("low", "score"): Sample((0.70, 0.71, 0.72), 872),
    ("high", "score"): Sample((0.80, 0.81, 0.82), 872),
    ("like high", "score"): Sample((0.79, 0.81, 0.82), 872),
    ("slightly below", "score"): Sample((0.804, 0.806, 0.805), 872),
    ("one low", "score"): Sample((0.70,), 872),
    ("one high", "score"): Sample((0.82,), 872),
    ("one near", "score"): Sample((0.80,), 872),
    ("correlation", "score"): Sample((0.3,)),
    ("small", "metric.after"): Sample((0.02,)),
    ("small", "metric.before"): Sample((0.04,)),
    ("small", "bytes"): Sample((25.0,)),
    ("large", "bytes"): Sample((100.0,)),
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
    assert text.startswith("81.0 ± 1.0 against 71.0 ± 1.0: +10.0 points (95%: ")
    assert decide({"above": ["high", "not run"]}, lookup).text == "score of not run is not known"


def test_a_claim_without_a_rule_gives_its_reason() -> None:
    claim = Claim("id", "claim", "source", not_testable="needs a GPU")
    assert claim.runs() == []
    outcome = claim.decide(lookup)
    assert (outcome.verdict, outcome.text) == ("not testable here", "needs a GPU")


def test_a_claim_names_the_runs_of_all_its_rules() -> None:
    rule = {"all": [{"above": ["a", "b"]}, {"ratio": ["a", "c"], "of": "bytes", "at_most": 1}]}
    assert Claim("id", "claim", "source", rule).runs() == ["a", "b", "c"]


def test_the_interval_over_seeds_is_welchs() -> None:
    one, other = (0.81, 0.84, 0.80, 0.86), (0.79, 0.80, 0.81)
    gap = difference(Sample(one), Sample(other))
    expected = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert gap.low == pytest.approx(expected.low)
    assert gap.high == pytest.approx(expected.high)


def test_seeds_without_spread_have_the_noise_of_the_sentences() -> None:
    """Models that give one class score the same with every seed, which decides nothing."""
    assert difference(Sample((0.5, 0.5)), Sample((0.4, 0.4))).low is None
    gap = difference(Sample((0.509, 0.509), 872), Sample((0.491, 0.491), 872))
    assert gap.low is not None
    assert gap.high is not None
    assert gap.low < 0 < gap.high


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
    timed = {"a": Sample((ratio,), noise_log_sd=0.1), "b": Sample((1.0,), noise_log_sd=0.1)}
    rule = {"ratio": ["a", "b"], "of": "latency_s", **limits}
    outcome = decide(rule, lambda name, figure: timed[name])
    assert outcome.verdict == verdict
    assert "noise of measurements" in outcome.text


def test_the_noise_is_the_spread_within_groups_of_equal_models() -> None:
    assert noise_log_sd([[1.0], [2.0]]) is None
    assert noise_log_sd([[1.0, math.e**2], [5.0, 5.0]]) == pytest.approx(1.0)


def test_with_one_seed_the_sentences_are_the_noise() -> None:
    gap = difference(Sample((0.8,), 872), Sample((0.7,), 872))
    half = 1.96 * math.sqrt(0.8 * 0.2 / 872 + 0.7 * 0.3 / 872)
    assert gap.low == pytest.approx(0.1 - half, rel=1e-4)
    assert gap.high == pytest.approx(0.1 + half, rel=1e-4)
    assert difference(Sample((0.8,)), Sample((0.7,))).low is None
