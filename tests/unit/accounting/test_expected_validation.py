from __future__ import annotations

import itertools
import json
import math
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.quantity.checks import InvalidFactor
from pricetag.accounting.work import expected_validation as ev

CASES: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "data/golden/expected_validation.json").read_text(encoding="utf-8")
)["cases"]
LISTED = [name for name, case in CASES.items() if "values" in case]
COMPARED = [name for name, case in CASES.items() if "a" in case]
SCORES = [0.81, 0.84, 0.79, 0.88, 0.84, 0.90, 0.70]


@pytest.mark.parametrize("k", range(1, len(SCORES) + 1))
def test_without_replacement_against_every_subset(k: int) -> None:
    best = [max(subset) for subset in itertools.combinations(SCORES, k)]
    estimated = ev.expected_best(SCORES, k)
    assert estimated.expected == pytest.approx(statistics.fmean(best))
    assert estimated.score_std == pytest.approx(statistics.pstdev(best), abs=1e-9)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_with_replacement_against_every_draw(k: int) -> None:
    best = [max(draw) for draw in itertools.product(SCORES, repeat=k)]
    estimated = ev.expected_best(SCORES, k, with_replacement=True)
    assert estimated.expected == pytest.approx(statistics.fmean(best))
    assert estimated.score_std == pytest.approx(statistics.pstdev(best))


def test_every_case_is_computed() -> None:
    assert {*LISTED, *COMPARED} == set(CASES)


@pytest.mark.parametrize("name", LISTED)
@pytest.mark.parametrize("estimator", ["with_replacement", "without_replacement"])
def test_the_mean_and_deviation_are_those_of_the_authors(name: str, estimator: str) -> None:
    scores, case = CASES[name]["values"], CASES[name][estimator]
    replaced = estimator == "with_replacement"
    ordered, count = sorted(scores), len(scores)
    weigh = ev.weights_with_replacement if replaced else ev.weights_without_replacement
    weighted = [
        math.fsum(w * score for w, score in zip(weigh(count, k), ordered, strict=True))
        for k in range(1, count + 1)
    ]
    assert weighted == pytest.approx(case["mean"], rel=1e-9)
    if count < ev.MIN_TRIALS:  # a mean of so few is not reported
        return
    best = [
        ev.expected_best(scores, k, with_replacement=replaced) for k in range(1, len(scores) + 1)
    ]
    assert [one.expected for one in best] == pytest.approx(case["mean"], rel=1e-9)
    variances = [one.score_std**2 for one in best]
    assert variances == pytest.approx(case["variance"], rel=1e-5, abs=1e-15)
    if replaced:
        assert [one.score_std for one in best] == pytest.approx(case["std_as_authors_var_field"])


def test_one_trial_has_all_the_weight() -> None:
    assert ev.weights_with_replacement(1, 1) == [1]
    assert ev.weights_without_replacement(1, 1) == [1]


@pytest.mark.parametrize("name", COMPARED)
@pytest.mark.parametrize("estimator", ["with", "without"])
def test_the_better_search_changes_where_the_means_do(name: str, estimator: str) -> None:
    case = CASES[name]
    curves = {
        name: ev.budget_curve(case[name], 1, with_replacement=estimator == "with") for name in "ab"
    }
    for name, curve in curves.items():
        means = [point.expected for point in curve]
        assert means == pytest.approx(case[f"mean_{estimator}_{name}"], rel=1e-9)
    (budget,) = ev.crossings(curves["a"], curves["b"])
    assert math.ceil(budget) == case[f"first_k_where_b_at_least_a_{estimator}"]
    assert ev.leads(curves["a"], curves["b"]) == [ev.Lead(1, budget, 1), ev.Lead(budget, 8, -1)]
    assert ev.leads(curves["b"], curves["a"]) == [ev.Lead(1, budget, -1), ev.Lead(budget, 8, 1)]


@given(st.integers(1, 400), st.data())
def test_the_weights_are_the_binomials_and_sum_to_one(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, n))
    weights = ev.weights_without_replacement(n, k)
    assert sum(weights) == pytest.approx(1.0)
    i = data.draw(st.integers(k, n))
    exact = math.comb(i - 1, k - 1) / math.comb(n, k)
    assert weights[i - 1] == pytest.approx(exact, rel=1e-9)
    assert sum(ev.weights_with_replacement(n, k)) == pytest.approx(1.0)


def test_few_or_impossible_trials_are_rejected() -> None:
    with pytest.raises(InvalidFactor, match="5 or more"):
        ev.expected_best([0.1, 0.2, 0.3, 0.4], 2)
    with pytest.raises(InvalidFactor, match="at most the 7 trials"):
        ev.expected_best(SCORES, 8)
    with pytest.raises(InvalidFactor, match="k is 0"):
        ev.expected_best(SCORES, 0)
    with pytest.raises(InvalidFactor, match="scores"):
        ev.expected_best([*SCORES, math.nan], 2)
    assert ev.expected_best([-score for score in SCORES], 1).expected < 0


def test_budgets_at_which_the_better_search_changes() -> None:
    cheap = [ev.CurvePoint(1, 0.80), ev.CurvePoint(2, 0.82), ev.CurvePoint(3, 0.83)]
    dear = [ev.CurvePoint(2, 0.80), ev.CurvePoint(4, 0.88)]
    # At 2 the cheap one leads by 0.02, at 3 the expensive one by 0.01: two thirds of the way.
    assert ev.crossings(cheap, dear) == [pytest.approx(2 + 2 / 3)]
    assert ev.crossings(cheap, cheap) == []


@pytest.mark.parametrize("n", range(5, 9))
def test_mean_variance_and_band_are_those_of_all_subsets(n: int) -> None:
    scores = [math.sin(7 * i) for i in range(n)]
    for point in ev.best_of(scores):
        best = sorted(max(subset) for subset in itertools.combinations(scores, point.k))
        assert point.expected == pytest.approx(statistics.fmean(best))
        assert point.variance == pytest.approx(statistics.pvariance(best), abs=1e-15)
        ends = [best[math.ceil(len(best) * share - 1e-9) - 1] for share in ev.CENTRAL_95]
        assert [point.low, point.high] == ends


def test_curves_lead_only_where_both_reach() -> None:
    low = [ev.CurvePoint(1, 0.5), ev.CurvePoint(2, 0.6)]
    assert ev.leads(low, [ev.CurvePoint(3, 0.5), ev.CurvePoint(4, 0.6)]) == []
    assert ev.leads(low, low) == [ev.Lead(1, 2, 0)]
    later = [ev.CurvePoint(1.5, 0.4), ev.CurvePoint(9, 0.9)]
    assert ev.leads(low, later) == [ev.Lead(1.5, 2, 1)]
    twice = [ev.CurvePoint(1, 0.4), ev.CurvePoint(1.5, 0.7), ev.CurvePoint(2, 0.4)]
    assert [lead.ahead for lead in ev.leads(low, twice)] == [1, -1, 1]


def test_budget_curve() -> None:
    curve = ev.budget_curve(SCORES, 2.5)
    assert [point.budget for point in curve[:3]] == [2.5, 5.0, 7.5]
    assert curve[0].expected == pytest.approx(statistics.fmean(SCORES))
    assert curve[-1].expected == max(SCORES)
