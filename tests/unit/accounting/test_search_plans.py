"""Hyperband's brackets and early stopping of seeds, against the figures of their authors."""

from __future__ import annotations

import json
import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.quantity.checks import InvalidFactor
from pricetag.accounting.work.search_plans import (
    SeedPlan,
    hyperband,
    seed_plans,
    stop_worst_seeds,
)

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
SIZES: list[Literal["ceil", "floor"]] = ["ceil", "floor"]


def golden(name: str) -> dict[str, Any]:
    cases: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())["cases"]
    return cases


BRACKETS = golden("hyperband")
TABLES = [name for name, case in BRACKETS.items() if "R" in case]
SEEDS = golden("seed_early_stopping")
STOPS = [name for name in SEEDS if name.startswith("start")]
PLANS = [name for name in SEEDS if name.startswith("valid_assignments_")]


def test_every_case_is_computed() -> None:
    assert {*TABLES, "float_log_trap"} == set(BRACKETS)
    assert {"inputs", *STOPS, *PLANS} == set(SEEDS)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("name", TABLES)
def test_brackets_are_those_of_the_paper(name: str, sizes: Literal["ceil", "floor"]) -> None:
    case = BRACKETS[name]
    column = {"ceil": "paper_algorithm_ceil", "floor": "paper_table_floor"}[sizes]
    brackets = hyperband(case["R"], case["eta"], sizes)
    for bracket, expected in zip(brackets, case[column], strict=True):
        assert bracket.number == expected["s"]
        assert [rung.trials for rung in bracket.rungs] == [rung["n"] for rung in expected["rungs"]]
        resources = [rung.resource for rung in bracket.rungs]
        assert resources == pytest.approx([rung["r"] for rung in expected["rungs"]])
        assert bracket.budget == pytest.approx(expected["budget"])
        assert bracket.trials == expected["trials"]
    assert sum(bracket.budget for bracket in brackets) == pytest.approx(
        case[f"total_budget_{sizes}"]
    )
    assert sum(bracket.trials for bracket in brackets) == case[f"trials_{sizes}"]


CODES: dict[str, Literal["ceil", "floor"]] = {
    "zygmuntz_code": "ceil",
    "jamieson_blog_code": "floor",
    "hpbandster_code": "floor",
}
"""Published programs, with the paper's table that each of them follows."""


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", TABLES)
def test_published_programs_follow_one_of_the_tables(name: str, code: str) -> None:
    case = BRACKETS[name]
    brackets = hyperband(case["R"], case["eta"], CODES[code])
    # One that computes s_max by logarithms has other brackets where those are inexact.
    are_exact = len(case[code]) == len(brackets)
    assert are_exact or int(math.log(case["R"]) / math.log(case["eta"])) < brackets[0].number
    for bracket, expected in zip(brackets if are_exact else [], case[code], strict=are_exact):
        assert [rung.trials for rung in bracket.rungs] == [rung["n"] for rung in expected["rungs"]]
        resources = [rung.resource for rung in bracket.rungs]
        assert resources == pytest.approx([rung["r"] for rung in expected["rungs"]])


@pytest.mark.parametrize("name", [name for name in TABLES if "keras_tuner_code" in BRACKETS[name]])
def test_keras_tuner_begins_its_brackets_alike_and_rounds_each_later_rung_up(name: str) -> None:
    case = BRACKETS[name]
    brackets = hyperband(case["R"], case["eta"], "ceil")
    for bracket, expected in zip(brackets, case["keras_tuner_code"], strict=True):
        assert bracket.number == expected["bracket"]
        resources = [rung.resource for rung in bracket.rungs]
        assert resources == pytest.approx([rung["epochs"] for rung in expected["rungs"]])
        first = Fraction(len(brackets) * case["eta"] ** bracket.number, bracket.number + 1)
        theirs = [math.ceil(first / case["eta"] ** rung) for rung in range(len(bracket.rungs))]
        assert [rung["n"] for rung in expected["rungs"]] == theirs
        assert bracket.rungs[0].trials == theirs[0]


def test_the_number_of_brackets_does_not_depend_on_logarithms() -> None:
    trap = BRACKETS["float_log_trap"]
    assert hyperband(243)[0].number == trap["true_s_max"] != trap["int_of_it"]
    assert hyperband(1000, 10)[0].number == 3 != trap["int_of_it_1000"]


@given(st.integers(1, 500), st.integers(2, 6), st.sampled_from(SIZES))
def test_each_bracket_ends_with_the_whole_resource_and_no_rung_is_empty(
    resource: int, factor: int, sizes: Literal["ceil", "floor"]
) -> None:
    brackets = hyperband(resource, factor, sizes)
    assert [bracket.number for bracket in brackets] == list(range(len(brackets)))[::-1]
    for bracket in brackets:
        assert bracket.rungs[-1].resource == resource
        assert len(bracket.rungs) == bracket.number + 1
        trials = [rung.trials for rung in bracket.rungs]
        assert trials == [trials[0] // factor**i for i in range(len(trials))]
        assert min(trials) >= 1
        assert bracket.rungs[0].resource >= 1


@pytest.mark.parametrize(("resource", "factor"), [(0, 3), (81, 1)])
def test_impossible_brackets_are_rejected(resource: int, factor: int) -> None:
    with pytest.raises(InvalidFactor):
        hyperband(resource, factor)


@pytest.mark.parametrize("name", STOPS)
def test_stopped_seeds_are_those_of_the_authors(name: str) -> None:
    case, curves = SEEDS[name], SEEDS["inputs"]["validation_curves"]
    outcome = stop_worst_seeds(curves[: case["start"]], case["stopped"], case["after_evals"])
    assert list(outcome.kept) == case["kept"]
    assert len(outcome.kept) == case["fully_trained"]
    assert outcome.best == pytest.approx(case["best"], rel=1e-12)
    assert outcome.evaluations == case["budget_evals"]
    assert sum(map(len, curves[: case["start"]])) == case["budget_if_none_stopped"]


@pytest.mark.parametrize("name", PLANS)
def test_plans_of_a_budget_are_those_of_the_authors(name: str) -> None:
    runs, evaluations = (int(re.sub(r"\D", "", part)) for part in name.split("_")[2:])
    for full_runs, expected in SEEDS[name].items():
        plans = list(seed_plans(int(full_runs), runs, evaluations))
        assert plans == [SeedPlan(one["start"], one["stop"], one["evals"]) for one in expected]


@given(st.integers(1, 8), st.integers(1, 12), st.integers(1, 9))
def test_a_plan_costs_what_its_full_runs_cost(full: int, seeds: int, evaluations: int) -> None:
    curves = [[float(seed + e) for e in range(evaluations)] for seed in range(max(full, seeds))]
    for plan in seed_plans(full, seeds, evaluations):
        outcome = stop_worst_seeds(curves[: plan.start], plan.stop, plan.after)
        assert outcome.evaluations == full * evaluations


@pytest.mark.parametrize(("stopped", "after"), [(4, 1), (-1, 1), (1, 0), (1, 3)])
def test_impossible_stops_are_rejected(stopped: int, after: int) -> None:
    with pytest.raises(InvalidFactor):
        stop_worst_seeds([[0.1, 0.2]] * 3, stopped, after)
