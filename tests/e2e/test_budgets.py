"""Budgets that stop real jobs: a server, a worker, PostgreSQL, and a host of known power."""

from __future__ import annotations

import logging
import time
from typing import Any
from uuid import UUID

import pytest

from pricetag.accounting.readings.ledger import EnergyLedger, Reading
from pricetag.client import Client
from pricetag.metering.machine import process_start_ticks
from tests.support.bills import J_PER_KWH
from tests.support.service import ASKED_EVERY_S, Service, wait_until
from tests.support.small_models import CONFIG
from workers.training.data import synthetic

pytestmark = pytest.mark.slow
logger = logging.getLogger(__name__)

PUE = 1.2  # of the settings of ``lab``; 130 W make 156 W at the facility's meter
HOST_W = 130.0
FACILITY_W = PUE * HOST_W
STOPPED_WITHIN_S = 5.0
USD_PER_KWH = 0.3

PROGRAM = "while True: pass\n"  # a host's energy goes by CPU time: who sleeps pays next to nothing
COMMAND: dict[str, Any] = {
    "stages": [{"kind": "command", "argv": ["python", "-c", PROGRAM], "name": "endless"}]
}
TRAINING: dict[str, Any] = {
    "task": "classification",
    "data": {"train": "reviews/train.tsv", "validation": "reviews/dev.tsv"},
    "model": {"config": CONFIG},
    "stages": [
        {
            "kind": "train",
            "max_steps": 10**6,
            "batch_size": 8,
            "learning_rate": 1e-3,
            "max_length": 48,
            "checkpoint_after_s": 3600,
            "checkpoint_every_s": 3600,
        }
    ],
}


def make_budget(lab: Service, seconds: float, **changes: Any) -> dict[str, Any]:
    """A budget that a job which alone keeps this host busy uses up in the given seconds."""
    body = {
        "name": f"{seconds:g} s",
        "scope": "project",
        "project": "e2e",
        "metric": "facility_energy_kwh",
        "amount": f"{FACILITY_W * seconds / J_PER_KWH:.9f}",
        "thresholds": [0.5, 1.0],
        "create_missing": True,
        **changes,
    }
    response = lab.http.post("/v1/budgets", json=body)
    assert response.status_code == 201, response.text
    return dict(response.json())


def standing(lab: Service, budget: dict[str, Any]) -> dict[str, Any]:
    return dict(lab.http.get(f"/v1/budgets/{budget['id']}").json())


class Charged:
    """What the one attempt of a run was charged, from the journal that its worker wrote."""

    def __init__(self, lab: Service, run_id: UUID) -> None:
        (journal,) = lab.journals(run_id)
        self.end_s = next(float(r["t_s"]) for r in journal if r["type"] == "end")
        self._ledgers = [
            EnergyLedger(
                [_reading(r) for r in journal if r.get("component") == component["id"]],
                component["method"],
                reserved_ratio=component["reserved_ratio"],
                baseline_w=component["baseline_w"],
            )
            for component in journal[0]["components"]
        ]

    def it_kwh(self, until_s: float) -> float:
        """From the opening of the meter on."""
        return sum(ledger.charged_j(0.0, until_s) for ledger in self._ledgers) / J_PER_KWH

    def crossing_s(self, it_kwh: float) -> float:
        """When so much had been used, on the meter's clock."""
        low_s, high_s = 0.0, self.end_s
        assert self.it_kwh(high_s) > it_kwh, "it was stopped before all was used"
        while high_s - low_s > 1e-3:
            middle_s = (low_s + high_s) / 2
            if self.it_kwh(middle_s) < it_kwh:
                low_s = middle_s
            else:
                high_s = middle_s
        return high_s


def _reading(record: dict[str, Any]) -> Reading:
    return Reading(
        record["t_s"],
        record["counter_j"],
        record["integrated_j"],
        record["power_w"],
        tuple(record["flags"]),
        record.get("own_busy_s"),
        record.get("all_busy_s"),
    )


def check_stop(lab: Service, run_id: UUID, budget: dict[str, Any], it_kwh: float) -> dict[str, Any]:
    """The run was stopped by the budget, in time, and billed to its last reading.

    Args:
        lab: Where it ran.
        run_id: It.
        budget: Its budget.
        it_kwh: The energy of its devices that uses the budget up.
    """
    run = lab.run(run_id)
    reason = run["status_reason"]
    assert (run["status"], reason["code"]) == ("cancelled", "budget-exceeded"), reason
    assert f"'{budget['name']}' is used up" in reason["message"]
    (attempt,) = run["attempts"]
    assert (attempt["status"], attempt["reason"]["code"]) == ("cancelled", "budget-exceeded")
    charged = Charged(lab, run_id)
    late_s = charged.end_s - charged.crossing_s(it_kwh)
    logger.info("run %s had ended %.2f s after its budget was used up", run["name"], late_s)
    assert late_s <= STOPPED_WITHIN_S
    tag = lab.price_tag(run_id)
    assert tag["it_energy_kwh"]["value"] == pytest.approx(charged.it_kwh(charged.end_s), rel=1e-9)
    gross_kwh = tag["split"]["gross_kwh"]["value"]
    assert gross_kwh * J_PER_KWH == pytest.approx(HOST_W * charged.end_s, rel=0.01)
    figure = tag["cost"]["total"] if budget["metric"] == "cost" else tag[budget["metric"]]
    stands = standing(lab, budget)
    assert stands["spent"] == pytest.approx(figure["value"], rel=1e-9)
    assert stands["spent"] > budget["limit"]
    assert (stands["running"], stands["left"]) == (0.0, 0.0)
    return run


def budget_events(lab: Service, run_id: UUID) -> list[dict[str, Any]]:
    token = lab.http.headers["Authorization"].removeprefix("Bearer ")
    with Client(str(lab.http.base_url), token) as client:
        return [e["payload"] for e in client.events(str(run_id)) if e["kind"] == "budget"]


def test_a_budget_stops_a_running_job_within_five_seconds(lab: Service) -> None:
    lab.start_worker("--gpus", "none")
    budget = make_budget(lab, 6.0)
    run_id = lab.submit(name="command", recipe=COMMAND)
    lab.wait_for_status(run_id, "running")
    child = wait_until(lab.child_pid, "the job")
    lab.wait_for_end(run_id)
    check_stop(lab, run_id, budget, budget["limit"] / PUE)
    assert process_start_ticks(child) is None
    assert [event["threshold_ratio"] for event in budget_events(lab, run_id)] == [0.5, 1.0]
    # Nothing is left for a new run, until the budget is raised.
    body = {"project": "e2e", "experiment": "e2e", "name": "late", "recipe": COMMAND}
    response = lab.http.post("/v1/runs", json=body)
    assert (response.status_code, response.json()["code"]) == (409, "budget-exceeded")
    amount = {"amount": 100 * budget["limit"]}
    assert lab.http.patch(f"/v1/budgets/{budget['id']}", json=amount).status_code == 200
    again = lab.http.post("/v1/runs", json=body)
    assert again.status_code == 202, again.text
    lab.wait_for_status(UUID(again.json()["id"]), "running")
    lab.http.post(f"/v1/runs/{again.json()['id']}/cancel")
    lab.wait_for_end(UUID(again.json()["id"]))


def test_a_training_saves_its_state_before_a_budget_of_money_stops_it(lab: Service) -> None:
    synthetic.write(lab.inputs / "reviews", train=400, dev=60, test=40)
    lab.start_worker("--gpus", "none")
    lab_wide = {"scope": "lab", "project": None}
    money = {"name": "money", "metric": "cost", "currency": "USD", "amount": "1000"}
    budget = make_budget(lab, 0.0, **lab_wide, **money)
    run_id = lab.submit(name="training", recipe=TRAINING)
    wait_until(lambda: trained_steps(lab, run_id), "a step", every_s=ASKED_EVERY_S)
    ten_s_usd = USD_PER_KWH * FACILITY_W * 10.0 / J_PER_KWH
    usd = standing(lab, budget)["running"] + ten_s_usd
    amount = {"amount": f"{usd:.9f}"}
    budget = dict(lab.http.patch(f"/v1/budgets/{budget['id']}", json=amount).json())
    lab.wait_for_end(run_id)
    check_stop(lab, run_id, budget, budget["limit"] / USD_PER_KWH / PUE)
    # It left by itself, and its state was kept.
    assert "killed" not in lab.log_text(run_id)
    kept = (lab.data_dir / "work" / str(run_id)).rglob("checkpoint-*")
    steps = max(int(folder.name.removeprefix("checkpoint-")) for folder in kept)
    # With the budget raised it continues where it was stopped, on the same bill.
    first_kwh = lab.price_tag(run_id)["it_energy_kwh"]["value"]
    assert lab.http.post(f"/v1/runs/{run_id}/resume").status_code == 409
    amount = {"amount": f"{100 * usd:.9f}"}
    assert lab.http.patch(f"/v1/budgets/{budget['id']}", json=amount).status_code == 200
    assert lab.http.post(f"/v1/runs/{run_id}/resume").status_code == 202
    lab.wait_for_status(run_id, "running")
    first = wait_until(lambda: trained_steps(lab, run_id), "a step of the second attempt")
    assert first >= steps > 0
    lab.http.post(f"/v1/runs/{run_id}/cancel")
    run = lab.wait_for_end(run_id)
    assert [attempt["status"] for attempt in run["attempts"]] == ["cancelled", "cancelled"]
    assert lab.price_tag(run_id)["it_energy_kwh"]["value"] > first_kwh


def trained_steps(lab: Service, run_id: UUID) -> float:
    """The training's step in the run's progress; 0 before the first, and between two stages."""
    return float((lab.run(run_id)["progress"] or {}).get("done") or 0.0)


def test_a_budget_stops_a_retried_run_before_it_starts(lab: Service) -> None:
    """Its first attempt was killed; before the next one, the budget was lowered to zero."""
    worker = lab.start_worker("--gpus", "none")
    budget = make_budget(lab, 3600.0)
    run_id = lab.submit(recipe=COMMAND)
    lab.wait_for_status(run_id, "running")
    wait_until(lambda: standing(lab, budget)["running"] > 0, "a reading")
    worker.terminate()
    worker.wait(timeout=120)
    assert lab.run(run_id)["status"] == "queued"
    lowered = lab.http.patch(f"/v1/budgets/{budget['id']}", json={"amount": "0.000001"})
    assert lowered.json()["left"] == 0
    lab.start_worker("--gpus", "none")
    run = lab.wait_for_end(run_id)
    assert (run["status"], run["status_reason"]["code"]) == ("cancelled", "budget-exceeded")
    assert len(run["attempts"]) == 1
    time.sleep(1.0)
    assert lab.run(run_id)["status"] == "cancelled"
