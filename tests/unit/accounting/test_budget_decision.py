from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.budgets.decision import Standing, crossed, decide, total, unused

amounts = st.decimals(0, 10**6, places=6)
standings = st.builds(Standing, amounts, amounts, amounts, amounts)


@given(amounts, st.lists(st.none() | amounts, max_size=12))
def test_admitted_quotes_never_add_up_to_more_than_the_limit(
    limit: Decimal, quotes: list[Decimal | None]
) -> None:
    promised = Decimal(0)
    for quote in quotes:
        decision = decide(Standing(limit, reserved=promised), quote)
        if decision == "admitted":
            assert promised < limit
            promised += quote or 0
        elif decision == "exhausted":
            assert promised >= limit
        else:
            assert quote is not None
            assert promised + quote > limit
    assert promised <= limit


@given(standings, amounts, amounts)
def test_a_smaller_quote_fares_no_worse(standing: Standing, one: Decimal, other: Decimal) -> None:
    small, large = sorted((one, other))
    if decide(standing, large) == "admitted":
        assert decide(standing, small) == "admitted"


@given(standings)
def test_no_run_is_admitted_with_nothing_left(standing: Standing) -> None:
    exhausted = standing.spent + standing.running + standing.reserved >= standing.limit
    for quote in (None, Decimal(0), Decimal(1)):
        assert (decide(standing, quote) == "exhausted") == exhausted
    if standing.is_spent:
        assert exhausted


@given(amounts, st.lists(amounts, max_size=8), st.lists(amounts, max_size=8))
def test_a_run_that_uses_its_quote_moves_from_reserved_to_used(
    quote: Decimal, before: list[Decimal], more: list[Decimal]
) -> None:
    used = sum(before, start=Decimal(0))
    assert unused(quote, used) + min(used, quote) == quote
    assert unused(quote, used + sum(more)) <= unused(quote, used)
    assert unused(None, used) == 0


@given(standings, st.lists(st.floats(0.01, 1.0), max_size=5))
def test_thresholds_are_crossed_in_order(standing: Standing, ratios: list[float]) -> None:
    thresholds = crossed(ratios, standing)
    assert thresholds == sorted(set(thresholds))
    for ratio in set(ratios):
        reached = standing.used > 0 and standing.used >= Decimal(str(ratio)) * standing.limit
        assert (ratio in thresholds) == reached
    if standing.is_spent and standing.used > 0:
        assert thresholds == sorted(set(ratios))


@pytest.mark.parametrize(
    ("used", "expected"),
    [("0", []), ("49.999999", []), ("50", [0.5]), ("80", [0.5, 0.8]), ("200", [0.5, 0.8, 1.0])],
)
def test_a_threshold_is_crossed_when_it_is_reached(used: str, expected: list[float]) -> None:
    standing = Standing(Decimal(100), spent=Decimal(used))
    assert crossed([0.8, 0.5, 1.0, 0.5], standing) == expected


def test_figures_of_a_budget_follow_from_its_amounts() -> None:
    standing = Standing(Decimal("10"), Decimal("3"), Decimal("1.5"), Decimal("2.5"))
    assert standing.used == Decimal("4.5")
    assert standing.left == Decimal("3.0")
    assert standing.used_ratio == 0.45
    assert not standing.is_spent
    over = Standing(Decimal("10"), Decimal("9"), Decimal("1"), Decimal("5"))
    assert (over.left, over.used_ratio, over.is_spent) == (Decimal(0), 1.0, True)
    nothing = Standing(Decimal(0))
    assert (nothing.left, nothing.used_ratio, nothing.is_spent) == (Decimal(0), None, True)
    assert decide(nothing, None) == "exhausted"
    assert crossed([0.5], nothing) == []


def test_unknown_use_is_counted_and_not_added() -> None:
    assert total([Decimal("1.1"), None, Decimal("2.2"), None]) == (Decimal("3.3"), 2)
    assert total([]) == (Decimal(0), 0)
