"""Sweeps of the power limit: energy, time and Zeus' cost against the limit."""

from __future__ import annotations

from typing import Any

import pytest

from pricetag.accounting.quantity.quantity import Quantity
from pricetag.accounting.units import joules_to_kwh
from pricetag.studies.decide import decide
from pricetag.studies.parse import StudyError, parse_study
from pricetag.studies.power_sweep import LIMIT, LimitedRun, PowerCurve, power_curve, power_note
from pricetag.studies.record import Start

# Like Zeus' figure 1: time grows slowly at first, and power falls with the limit.
MEASURED = {100.0: (90_000.0, 1_000.0), 200.0: (70_000.0, 400.0), 300.0: (90_000.0, 320.0)}
BASE: dict[str, Any] = {
    "project": "text",
    "experiment": "power",
    "name": "base",
    "resources": {"gpus": 2},
    "recipe": {"stages": [{"kind": "command", "argv": ["true"]}]},
}


def run(limit_w: float, score: float | None = 0.9, *, is_done: bool = True) -> LimitedRun:
    energy_j, duration_s = MEASURED[limit_w]
    energy = Quantity.exact(joules_to_kwh(energy_j), "kWh", "counter")
    return LimitedRun(limit_w, energy, Quantity.exact(duration_s, "s", "counter"), score, is_done)


def curve(runs: list[LimitedRun], eta: float = 0.5, target: float | None = None) -> PowerCurve:
    return power_curve(runs, eta=eta, max_power_w=600.0, target=target, is_maximized=True)


def test_the_cost_weighs_energy_and_time_at_the_highest_power() -> None:
    swept = curve([run(300.0), run(100.0), run(200.0)])
    assert [point.run.limit_w for point in swept.points] == [100.0, 200.0, 300.0]
    costs = [0.5 * energy_j + 0.5 * 600.0 * time_s for energy_j, time_s in MEASURED.values()]
    assert [point.cost_j for point in swept.points] == pytest.approx(costs)
    assert (swept.least_energy_w, swept.least_cost_w) == (200.0, 300.0)  # 141 kJ against 155 kJ
    assert swept.reason is None
    assert curve([run(each) for each in MEASURED], eta=1.0).least_cost_w == 200.0
    assert curve([run(each) for each in MEASURED], eta=0.0).least_cost_w == 300.0


def test_only_runs_of_the_target_quality_are_candidates() -> None:
    runs = [run(100.0, 0.91), run(200.0, 0.80), run(300.0, 0.90)]
    assert curve(runs).least_energy_w == 200.0
    assert curve(runs).reason == (
        "the scores differ, from 0.8 to 0.91: set target to compare at the same quality"
    )
    swept = curve(runs, target=0.9)
    assert swept.points[1].reason == "its score is not the target, 0.9"
    assert swept.least_energy_w in (100.0, 300.0)
    falling = power_curve(
        [run(100.0, 0.3), run(200.0, 0.1), run(300.0, None)],
        eta=1.0,
        max_power_w=600.0,
        target=0.1,
        is_maximized=False,
    )
    assert [point.cost_j is None for point in falling.points] == [True, False, True]


def test_without_two_known_limits_there_is_no_optimum() -> None:
    unknown = LimitedRun(
        200.0, Quantity.unknown("kWh", "no meter"), Quantity.exact(1.0, "s", "counter"), 0.9, True
    )
    swept = curve([run(100.0), unknown, run(300.0, is_done=False)])
    assert [point.reason for point in swept.points] == [
        None,
        "no meter",
        "its run has not succeeded",
    ]
    assert (swept.least_energy_w, swept.least_cost_w) == (None, None)
    assert swept.reason == "an optimum needs 2 limits with a known energy (1 so far)"
    assert power_note({"reason": swept.reason, "least_energy_w": None}).startswith("No optimum: ")


def study(**strategy: Any) -> dict[str, Any]:
    sweep = {"kind": "power_sweep", "limits_w": [100, 200.5], **strategy}
    return {
        "name": "sweep",
        "base": BASE,
        "strategy": sweep,
        "metric": {"name": "accuracy"},
    }


def test_each_limit_is_a_trial_of_the_same_job() -> None:
    spec = parse_study(study())
    assert spec.plan.trials == 2
    started = decide(spec.plan, [], goal="maximize", parallel=8)
    assert [each.values for each in started if isinstance(each, Start)] == [
        {LIMIT: 100.0},
        {LIMIT: 200.5},
    ]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"strategy": {"kind": "power_sweep", "limits_w": [100, 100]}}, "strategy.limits_w"),
        ({"strategy": {"kind": "power_sweep", "limits_w": [100]}}, "strategy.limits_w"),
        ({"base": BASE | {"resources": {"gpus": 0}}}, "base.resources.gpus"),
        ({"space": [{"kind": "choice", "field": LIMIT, "values": [1]}]}, "space"),
    ],
)
def test_sweeps_without_limits_to_compare_are_rejected(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(StudyError) as raised:
        parse_study({**study(), **changes})
    assert [error.field for error in raised.value.errors] == [field]
