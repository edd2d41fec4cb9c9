"""Commands about several runs; each response is of the schema of the API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.schemas.insights import ExpectedValidationRead, FrontierRead, ResearchCostRead
from pricetag.cli.app import run as pricetag
from pricetag.tag import axes
from tests.support.fake_api import RUN_ID, Answer, FakeApi

Captured = pytest.CaptureFixture[str]
KIND = {
    **{"metric": "accuracy", "split": "validation", "task": None, "data": None},
    **{"data_reason": "not recorded", "runs": 6},
}
KWH = {
    **{"value": 2.0, "low": 1.0, "high": 3.0, "unit": "kWh"},
    **{"source": "counter", "reason": None},
}
NOT_COUNTED = {
    **{"value": None, "low": None, "high": None, "unit": "FLOP"},
    **{"source": None, "reason": "nobody counted"},
}


def printed(capsys: Captured) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_curves_show_each_method_and_the_sentences(api: FakeApi, capsys: Captured) -> None:
    point = {"trials": 1, "cost": 2.0, "expected": 0.8, "variance": 0.1, "low": 0.7, "high": 0.9}
    curve: dict[str, Any] = {"name": "a", "trials": 6, "unscored": 1, "mean_cost": KWH}
    sentence = "a is better below 3.00 kWh, b above; both reach budgets from 1.00 to 4.00 kWh."
    read = ExpectedValidationRead.model_validate(
        {
            **{"metric": "it_energy_kwh", "unit": "kWh", "kind": KIND, "kinds": [KIND]},
            **{"lower_is_better": False, "with_replacement": False, "crossings": []},
            "methods": [
                {**curve, "points": [point], "reason": None},
                {**curve, "name": "b", "points": [], "reason": "needs 5 runs"},
            ],
            **{
                "verdicts": [sentence],
                "projects": [],
                "summed_trials": 1,
                "summed_runs": 2,
                "unreadable": 0,
                "is_whole": True,
            },
        }
    )
    api.answers["GET /v1/insights/expected-validation"] = Answer(read.model_dump(mode="json"))
    assert pricetag(["insights", "curves", "--method", "a", "--method", "b"]) == 0
    output = printed(capsys)
    assert sentence in output
    assert "6 of 7" in output
    assert "b: no curve, needs 5 runs." in output


def test_the_cost_of_a_result_has_its_parts_and_equivalents(api: FakeApi, capsys: Captured) -> None:
    costs = {name: NOT_COUNTED if name == "flops_dense" else KWH for name in axes.SPENDING}
    read = ResearchCostRead.model_validate(
        {
            **{
                "kind": KIND,
                "kinds": [KIND],
                "reason": None,
                "summed_trials": 1,
                "summed_runs": 2,
                "unreadable": 0,
                "is_whole": True,
            },
            "model": {
                **{"run_id": RUN_ID, "name": "best", "project": "p", "status": "succeeded"},
                **{"version": 1, "method": "train", "quality": 0.9},
            },
            "parts": [
                {"name": name, "runs": runs, "unsuccessful": 0, "costs": costs}
                for name, runs in (("model", 1), ("tuning", 7), ("research", 8))
            ],
            "green_ai": {"example": NOT_COUNTED, "data": NOT_COUNTED, "experiments": 7},
            "equivalents": [{"name": "a flight", "times": KWH, "citation": "a paper"}],
        }
    )
    api.answers["GET /v1/insights/research-cost"] = Answer(read.model_dump(mode="json"))
    assert pricetag(["insights", "cost", "--equivalents"]) == 0
    output = printed(capsys)
    assert "best: accuracy (validation) 0.900 (train)" in output
    assert "nobody counted" in output
    assert "H, experiments with the method: 7" in output
    assert "2.00 x a flight (a paper)" in output
    assert pricetag(["insights", "cost", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["green_ai"]["experiments"] == 7


def test_the_frontier_lists_its_steps(api: FakeApi, capsys: Captured) -> None:
    point = {
        **{"run_id": RUN_ID, "name": "best", "project": "p", "status": "succeeded"},
        **{"kind": "train", "tags": [], "version": 1, "cost": KWH, "quality": 0.9, "runs": 2},
        **{"quality_reason": None, "is_dominated": False},
    }
    step = {"run_id": RUN_ID, "price": None, "is_costlier": None}
    read = FrontierRead.model_validate(
        {
            **{"metric": "it_energy_kwh", "unit": "kWh", "kind": KIND, "kinds": [KIND]},
            **{"score": {"metric": "accuracy", "split": None}, "lower_is_better": False},
            **{"points": [point], "steps": [{**step, "marginal_price": NOT_COUNTED}]},
            **{"reason": None, "wasted": 0.0, "wasted_reason": None, "wasted_cost": KWH},
            **{
                "without_quality": 0,
                "summed_trials": 1,
                "summed_runs": 2,
                "unreadable": 0,
                "is_whole": True,
            },
        }
    )
    api.answers["GET /v1/insights/frontier"] = Answer(read.model_dump(mode="json"))
    assert pricetag(["insights", "frontier"]) == 0
    output = printed(capsys)
    assert "best 0.900 2.00 kWh (1.00 to 3.00 kWh)" in output
    assert "1 point, 0 without this score." in output
    assert "1 trial of studies is summed over 2 runs" in output
