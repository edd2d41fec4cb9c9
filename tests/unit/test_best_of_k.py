"""The range of the best of k trials, compared with all draws of k trials."""

from __future__ import annotations

import itertools
from statistics import fmean

import pytest

from pricetag.accounting.work.expected_validation import best_of

SCORES = [0.3, 0.9, 0.5, 0.7, 0.2, 0.8]


@pytest.mark.parametrize("lower_is_better", [False, True])
@pytest.mark.parametrize("with_replacement", [False, True])
def test_the_curve_is_that_of_all_draws(lower_is_better: bool, with_replacement: bool) -> None:
    best = min if lower_is_better else max
    curve = best_of(SCORES, lower_is_better=lower_is_better, with_replacement=with_replacement)
    assert [point.k for point in curve] == list(range(1, len(SCORES) + 1))
    for point in curve[:4]:
        draws = (
            itertools.product(SCORES, repeat=point.k)
            if with_replacement
            else itertools.combinations(SCORES, point.k)
        )
        results = sorted(best(draw) for draw in draws)
        assert point.expected == pytest.approx(fmean(results))
        assert point.low <= point.expected <= point.high
        inside = sum(point.low <= result <= point.high for result in results)
        assert inside / len(results) >= 0.95 - 1e-9


def test_the_range_closes_where_all_trials_are_used() -> None:
    last = best_of(SCORES)[-1]
    assert (last.low, last.expected, last.high) == pytest.approx((0.9, 0.9, 0.9))
    open_end = best_of(SCORES, with_replacement=True)[-1]
    assert open_end.low < open_end.expected < open_end.high
