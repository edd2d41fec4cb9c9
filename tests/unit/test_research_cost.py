"""The cost of a result with its tuning, and sentences about which method is better."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.work.expected_validation import best_of
from pricetag.tag.best_of_k import Method, verdicts
from pricetag.tag.figure import Figure
from pricetag.tag.figures import figure_text
from pricetag.tag.research import NO_EXAMPLES, costs_of, equivalents, green_ai, research_parts
from pricetag.tag.view import TagView
from tests.support.price_tags import owned_run
from tests.unit.accounting import builders as b

SCORES = {"a": [0.70, 0.71, 0.72, 0.73, 0.74], "b": [0.5, 0.55, 0.6, 0.8, 0.9]}


def tag(seconds: float) -> TagView:
    return TagView(build_price_tag(b.inputs(replace(b.attempt(1, seconds, components=[b.GPU])))))


def method(name: str, cost: float, scores: list[float], unit: str = "kWh") -> Method:
    mean = Figure.exact(cost, unit, "counter")
    return Method(name, len(scores), 0, mean, best_of(scores), None)


def test_each_part_includes_the_one_before_it_to_the_last_digit() -> None:
    tags = [tag(seconds) for seconds in (10.1, 20.2, 30.3, 40.7)]
    ended = [(each, "failed" if n == 3 else "succeeded") for n, each in enumerate(tags)]
    model, tuning, research = research_parts(ended[:1], ended[:3], ended)
    energies = [each.document.energy.it_energy_kwh.value or math.nan for each in tags]
    for part, count in ((model, 1), (tuning, 3), (research, 4)):
        assert part.costs["it_energy_kwh"].value == math.fsum(energies[:count])
        assert part.runs == count
    assert [part.unsuccessful for part in (model, tuning, research)] == [0, 0, 1]
    assert model.costs["duration_s"].value == 10.1


def test_what_was_not_recorded_is_unknown_with_a_reason() -> None:
    factors = green_ai(tag(10.0), 7)
    assert (factors.example.value, factors.data.value, factors.experiments) == (None, None, 7)
    assert factors.data.reason == NO_EXAMPLES


def test_operations_that_are_partly_counted_are_a_lower_bound() -> None:
    partly = TagView(build_price_tag(owned_run()))
    cost = costs_of([partly, tag(10.0)])["flops_dense"]
    assert cost.reason == (
        "at least: 1 of 2 are unknown and not included; some operators or stages of 1 run are not "
        "counted"
    )
    assert figure_text(cost).startswith("at least 6.00 PFLOP")


def test_equivalents_are_those_of_the_paper_with_the_interval_of_the_emissions() -> None:
    kg = 1984 * 0.45359237
    flight, *others = equivalents(Figure(kg, kg / 2, 2 * kg, "kg", "modelled"))
    assert (flight.times.low, flight.times.value, flight.times.high) == pytest.approx((0.5, 1, 2))
    assert "Strubell et al. 2019" in flight.citation
    assert [each.times.value for each in others] == pytest.approx(
        [1984 / 11023, 1984 / 36156, 1984 / 126000]
    )
    unknown = equivalents(Figure.unknown("no meter", "kg"))[0].times
    assert (unknown.value, unknown.reason) == (None, "no meter")


def test_a_sentence_says_which_method_is_better_at_which_cost() -> None:
    steady, risky = method("a", 1.0, SCORES["a"]), method("b", 1.0, SCORES["b"])
    (sentence,) = verdicts([steady, risky], lower_is_better=False)
    # At one trial 0.72 and 0.67, at two 0.73 and 0.775: about half way.
    at = 1 + 0.05 / (0.05 + 0.045)
    assert sentence == (
        f"a is better below {at:.2f} kWh, b above; both reach budgets from 1.00 kWh to 5.00 kWh."
    )
    (sentence,) = verdicts([steady, risky], lower_is_better=True)
    assert sentence.startswith("b is better below")


def test_nothing_is_said_where_one_method_does_not_reach() -> None:
    cheap, dear = method("a", 1.0, SCORES["a"]), method("b", 6.0, SCORES["b"])
    assert verdicts([dear, cheap], lower_is_better=False) == [
        "b and a have no budget in common: a ends at 5.00 kWh, b starts at 6.00 kWh."
    ]
    better = method("b", 1.0, [score + 0.2 for score in SCORES["a"]])
    assert verdicts([cheap, better], lower_is_better=False) == [
        "b is better than a at all budgets from 1.00 kWh to 5.00 kWh, which both reach."
    ]
    assert verdicts([cheap, replace(cheap, name="c")], lower_is_better=False) == [
        "a and c are equal at all budgets from 1.00 kWh to 5.00 kWh, which both reach."
    ]
    assert verdicts([cheap, method("b", 1.0, SCORES["b"], "EUR")], lower_is_better=False) == []
