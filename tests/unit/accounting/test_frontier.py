"""The frontier of quality against cost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.work.frontier import Outcome, Step, frontier, spent_in_vain


def outcome(key: str, cost: float, quality: float, half: float = 0.0) -> Outcome[str]:
    return Outcome(key, cost, quality, cost - half, cost + half)


def test_dominated_runs_are_not_on_the_frontier() -> None:
    runs = [outcome("dear", 5, 0.7), outcome("small", 1, 0.6), outcome("large", 4, 0.8)]
    assert [step.key for step in frontier(runs)] == ["small", "large"]


def test_the_price_of_the_next_point_of_quality() -> None:
    steps = frontier([outcome("a", 1.0, 0.5), outcome("b", 3.0, 0.75), outcome("c", 13.0, 1.0)])
    assert steps == [Step("a", None, None), Step("b", 8.0, True), Step("c", 40.0, True)]


def test_a_step_whose_costs_could_be_the_same_says_so() -> None:
    steps = frontier([outcome("a", 10.0, 0.5, half=1.0), outcome("b", 11.0, 0.6, half=1.0)])
    assert steps[1].is_costlier is False


def test_of_equal_runs_the_first_is_taken_and_nothing_has_no_frontier() -> None:
    assert [s.key for s in frontier([outcome("a", 1, 1), outcome("b", 1, 1)])] == ["a"]
    assert frontier([]) == []


VALUES = st.floats(-1e6, 1e6, allow_subnormal=False)


@given(st.lists(st.tuples(VALUES, VALUES), max_size=30))
def test_the_frontier_is_what_nobody_dominates(values: list[tuple[float, float]]) -> None:
    runs = [Outcome(n, cost, quality, cost, cost) for n, (cost, quality) in enumerate(values)]

    def dominates(a: Outcome[int], b: Outcome[int]) -> bool:
        as_good = a.cost <= b.cost and a.quality >= b.quality
        return as_good and (a.cost < b.cost or a.quality > b.quality)

    undominated = {(a.cost, a.quality) for a in runs if not any(dominates(b, a) for b in runs)}
    steps = frontier(runs)
    assert {values[step.key] for step in steps} == undominated
    assert len(steps) == len(undominated)
    assert all(step.price is None or step.price > 0 for step in steps)


def test_what_was_spent_after_the_last_improvement() -> None:
    assert spent_in_vain([(1, 0.5), (2, 0.4), (4, 0.6), (8, None), (16, 0.6)]) == 24
    assert spent_in_vain([(1, 0.5), (2, 0.7)]) == 0
    assert spent_in_vain([(1, None), (2, None)]) == 3
    assert spent_in_vain([]) == 0
