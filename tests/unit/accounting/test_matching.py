"""Whether a model is as good as the full one over seeds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.work.matching import Match, match

scores = st.lists(st.floats(0, 1), min_size=5, max_size=8)


@pytest.mark.parametrize(
    ("full", "ticket", "wins"),
    [
        ([0.90, 0.92, 0.94], [0.91, 0.91, 0.91], True),
        ([0.90, 0.92, 0.94], [0.91, 0.90, 0.88], False),
        ([0.5, 0.5], [0.5, 0.5], True),
        ([0.5, 0.5], [0.4999, 0.5], False),
        ([0.25, 0.75], [0.9, 1.0], True),  # better is as good
    ],
)
def test_a_ticket_wins_within_one_standard_deviation(
    full: list[float], ticket: list[float], wins: bool
) -> None:
    assert match(ticket, full, seeds=2) == Match(wins)


@given(full=scores, ticket=scores)
def test_a_lower_score_is_better_where_that_is_said(full: list[float], ticket: list[float]) -> None:
    mirrored = [-score for score in ticket], [-score for score in full]
    assert match(ticket, full) == match(*mirrored, lower_is_better=True)
    assert match(full, full).within_one_std


@pytest.mark.parametrize(("model", "full"), [(4, 5), (5, 4), (0, 0), (1, 50)])
def test_too_few_seeds_give_no_verdict_but_a_reason(model: int, full: int) -> None:
    verdict = match([0.5] * model, [0.5] * full)
    assert verdict.within_one_std is None
    assert f"each side needs 5 seeds (a has {model}, b has {full})" in str(verdict.reason)


def test_one_seed_is_never_enough() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        match([0.5], [0.5], seeds=1)
