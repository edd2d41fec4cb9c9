"""The breakdown of a figure's error."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from pricetag.accounting.bill.inputs import AttemptInput, Factors, Measurement
from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.quantity.error_terms import ErrorTerm, error_budget, error_terms
from pricetag.accounting.quantity.uncertainty import Interval, Multiplier, Term
from tests.unit.accounting import builders as b


def budget_of(*attempts: AttemptInput, factors: Factors = b.FACTORS) -> dict[str, Any]:
    document: dict[str, Any] = build_price_tag(b.inputs(*attempts, factors=factors)).as_dict()
    return dict(document["uncertainty"])


def test_the_dominant_cause_comes_first_and_shares_make_one() -> None:
    budget = budget_of(b.attempt(components=[b.GPU]))
    assert [item["term"] for item in budget["it_energy"]] == [
        "gain of NVIDIA A100 (gpu)",
        "edges of the counters",
    ]
    assert [item["term"] for item in budget["co2e"]] == [
        "PUE",
        "carbon intensity",
        "gain of NVIDIA A100 (gpu)",
        "edges of the counters",
    ]
    assert budget["co2e"][0]["relative_std_ratio"] == pytest.approx(0.10)
    for items in (budget["it_energy"], budget["facility_energy"], budget["co2e"]):
        assert sum(item["share_of_variance"] for item in items) == pytest.approx(1.0)
    assert budget["cost"] == []


def test_additive_errors_are_those_of_the_interval() -> None:
    """For additive errors alone the causes in quadrature are the interval's half-width."""
    attempt = b.attempt(components=[b.GPU, b.TWIN])
    tag = build_price_tag(b.inputs(attempt)).as_dict()
    for figure, name in (("it_energy_kwh", "it_energy"), ("co2e_kg", "co2e")):
        std = math.hypot(*(i["relative_std_ratio"] for i in tag["uncertainty"][name]))
        half = (tag[figure]["high"] - tag[figure]["value"]) / tag[figure]["value"]
        assert half == pytest.approx(1.959964 * std, rel=1e-6)


def test_common_errors_add_linearly_and_own_ones_in_quadrature() -> None:
    terms = [Term(3.0, "gpu:A", 0.1, 0.02), Term(1.0, "gpu:A", 0.1, 0.06)]
    shares = dict(error_terms(terms, [], [Multiplier("pue", 0.05)]))
    assert shares["gain of A (gpu)"] == pytest.approx(0.4)
    assert shares["edges of the counters"] == pytest.approx(math.hypot(0.06, 0.06))
    assert shares["PUE"] == pytest.approx(0.2)


def test_a_model_counts_as_the_logarithm_of_its_factor() -> None:
    shares = dict(error_terms([Term(2.0, "ram:model", 1.0, multiplicative=True)], [], []))
    assert shares == {"power model of ram": pytest.approx(2 * math.log(2))}


def test_hard_bounds_are_a_uniform_distribution() -> None:
    shares = dict(error_terms([], [Interval(1.0, 4.0)], []))
    assert shares == {"windows too short for their counter": pytest.approx(3 / math.sqrt(12))}


def test_a_short_window_is_its_own_cause() -> None:
    measured = Measurement(b.GPU.id, b.window(150.0, 0.0, 0.5))
    attempt = replace(b.attempt(1, 0.5, components=[b.GPU]), measurements=(measured,))
    assert budget_of(attempt)["it_energy"][0]["term"] == "windows too short for their counter"


def test_an_unknown_figure_has_no_budget() -> None:
    assert error_budget(None, [ErrorTerm("x", 1.0)]) == []
    assert budget_of(b.attempt(components=[]))["it_energy"] == []
    assert budget_of(b.attempt(), factors=Factors(b.PUE, None))["co2e"] == []


def test_a_cause_without_error_is_not_listed() -> None:
    """One price instead of a range: the cost is exact, and nothing is divided by nothing."""
    assert error_budget(2.0, [ErrorTerm("range of the cloud's prices", 0.0)]) == []
    (only,) = error_budget(2.0, [ErrorTerm("x", 0.0), ErrorTerm("y", 1e-200)])
    assert (only["term"], only["share_of_variance"]) == ("y", 1.0)
