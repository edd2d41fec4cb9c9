"""Commands about studies; each response is of the schema of the API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.schemas.studies import StudyAccepted, StudyPage, StudyRead
from pricetag.cli import studies
from pricetag.cli.app import run as pricetag
from tests.support.api import study_body
from tests.support.fake_api import Answer, FakeApi

Captured = pytest.CaptureFixture[str]
ID = "6f0c0d0e-0000-4000-8000-00000000000b"
RUN = "6f0c0d0e-0000-4000-8000-00000000000c"
NEXT_RUN = "7a1c0d0e-0000-4000-8000-00000000000c"
NOW = "2026-03-01T12:00:00Z"


def quantity(value: float | None, unit: str) -> dict[str, Any]:
    fields = {"value": value, "low": value, "high": value, "unit": unit, "source": "counter"}
    return fields if value is not None else {**fields, "source": None, "reason": "no price"}


def figures(energy_kwh: float, unknown: dict[str, int]) -> dict[str, Any]:
    return {
        "duration_s": quantity(60.0, "s"),
        "it_energy_kwh": quantity(energy_kwh, "kWh"),
        "facility_energy_kwh": quantity(energy_kwh * 1.5, "kWh"),
        "co2e_kg": quantity(energy_kwh * 0.4, "kg"),
        "cost": quantity(None, "EUR"),
        "flops_dense": quantity(1e12, "FLOP"),
        "unknown_runs": unknown,
        "runs": 4,
    }


SUMMARY: dict[str, Any] = {
    **{"id": ID, "name": "a study", "project": "text", "experiment": "sst2", "user": "ada"},
    **{"strategy": "successive_halving", "planned_trials": 3, "started_trials": 3},
    "metric": {"name": "accuracy", "split": None, "goal": "maximize"},
    **{"status": "finished", "status_reason": {"code": "completed", "message": "all ended"}},
    **{"runs": 4, "open_runs": 0, "created_at": NOW, "finished_at": NOW},
}


def trial(number: int, state: str, score: float | None) -> dict[str, Any]:
    """A trial; one that has finished has two runs."""
    return {
        **{"number": number, "bracket": 0, "state": state, "score": score},
        "values": {"recipe.stages.0.learning_rate": 0.000123456},
        "runs": [
            {
                **{"rung": rung, "resource": rung + 1.0, "run_id": run, "status": "succeeded"},
                **{"reason": None, "score": score, "it_energy_kwh": quantity(0.1, "kWh")},
            }
            for rung, run in enumerate((RUN, NEXT_RUN)[: 1 + (state == "finished")])
        ],
    }


STUDY: dict[str, Any] = {
    **SUMMARY,
    "spec": {},
    "brackets": [
        {
            "number": 0,
            "rungs": [
                {
                    **{"rung": 0, "planned_trials": 3, "resource": 1.0, "open_trials": 0},
                    **{"done_trials": 3, "failed_trials": 0, "canceled_trials": 0},
                }
            ],
        }
    ],
    "trials": [trial(0, "stopped", 0.5), trial(1, "finished", 0.75), trial(2, "cancelled", None)],
    "best": {
        **{"trial": 1, "score": 0.75, "run_id": RUN, "price_tag": figures(0.2, {})},
        "values": {"recipe.stages.0.learning_rate": 0.000123456},
    },
    "price_tag": figures(0.5, {"it_energy_kwh": 1, "cost": 4}),
    "saved": {
        "it_energy_kwh": quantity(0.3, "kWh"),
        **{"stopped_trials": 1, "unknown_trials": 0},
    },
    "ensemble": {
        **{"estimator": "all_subsets", "split": "validation", "examples": 872, "members": 3},
        "points": [
            {
                **{"members": 2, "ensembles": 3, "accuracy": quantity(0.875, "1")},
                **{"making_kwh": quantity(0.4, "kWh"), "inference_kwh": quantity(0.002, "kWh")},
            }
        ],
        "reason": None,
    },
    "power_sweep": {
        **{"eta": 0.5, "max_power_w": 600.0, "least_energy_w": 200.0, "least_cost_w": 300.0},
        "points": [
            {
                **{"limit_w": limit_w, "trial": place, "score": 0.75, "cost_j": cost_j},
                **{"it_energy_kwh": quantity(energy, "kWh"), "duration_s": quantity(time, "s")},
                "reason": None,
            }
            for place, (limit_w, energy, time, cost_j) in enumerate(
                ((200.0, 0.02, 400.0, 156e3), (300.0, 0.025, 320.0, 141e3))
            )
        ],
        "reason": None,
    },
    "budget": [
        {
            **{"name": "kwh", "unit": "kWh", "limit": 2.0, "used": 0.75, "reserved": 0.0},
            "unknown_runs": 1,
        }
    ],
}


def of(schema: Any, body: Any, **more: Any) -> Answer:
    return Answer(schema.model_validate(body).model_dump(mode="json"), **more)


def printed(capsys: Captured) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_a_study_file_is_posted_and_followed_to_its_end(
    api: FakeApi, capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(json.dumps(study_body()))
    accepted = {name: SUMMARY[name] for name in StudyAccepted.model_fields if name != "url"}
    accepted |= {"url": f"/v1/studies/{ID}", "status": "running", "status_reason": None}
    api.answers["POST /v1/studies"] = of(StudyAccepted, accepted, status=202)
    api.answers[f"GET /v1/studies/{ID}"] = of(StudyRead, STUDY)
    assert pricetag(["study", str(file)]) == 0
    assert json.loads(api.asked[-1].body) == study_body()
    assert f"{ID} running" in printed(capsys)
    assert pricetag(["study", "post", str(file), "--follow"]) == 0
    text = printed(capsys)
    assert "a study: finished 3 of 3 trials 4 runs, 0 open best accuracy 0.75" in text
    assert "at least 500 Wh (counter); 1 run unknown" in text
    assert (
        "Energy saved by not running every trial to the end: 300 Wh (counter), 1 stopped trial"
        in text
    )
    assert "Budget: 2 kWh, 0.75 used, 0 reserved, 1 run of unknown use" in text
    assert "2 0.875 400 Wh (counter) 2.00 Wh (counter)" in text
    assert "Class probabilities of 3 members on 872 examples of validation, averaged" in text
    # Best trial first, one without a score last.
    assert text.index("learning_rate=0.0001235") < text.index("canceled")
    assert "6f0c0d0e, 7a1c0d0e" in text  # a run in each rung
    assert pricetag(["study", str(file), "--check"]) == 0
    assert "(random, 4 trials)" in printed(capsys)
    monkeypatch.setattr(studies, "find_spec", lambda name: None)
    file.write_text(json.dumps(study_body(strategy={"kind": "tpe", "trials": 4})))
    assert pricetag(["study", str(file), "--check"]) == 0
    assert "tpe needs the package optuna on the server" in printed(capsys)
    file.write_text(json.dumps(study_body(space=[])))
    assert pricetag(["study", str(file), "--check"]) == 2
    assert "space: is empty" in capsys.readouterr().err
    file.write_text(json.dumps(study_body(budget={"kwh": "much"})))
    assert pricetag(["study", str(file), "--check"]) == 2
    assert capsys.readouterr().err == "pricetag: budget.kwh: must be a number\n"
    file.write_text(" ")
    assert pricetag(["study", str(file), "--check"]) == 2
    assert "The study file is empty." in capsys.readouterr().err


def test_studies_are_listed_shown_and_canceled(api: FakeApi, capsys: Captured) -> None:
    api.answers["GET /v1/studies"] = of(StudyPage, {"items": [SUMMARY], "next_cursor": None})
    api.answers[f"GET /v1/studies/{ID}"] = of(StudyRead, STUDY)
    assert pricetag(["studies", "--project", "text"]) == 0
    assert "6f0c0d0e finished a study successive_halving 3 of 3 4" in printed(capsys)
    assert pricetag(["study", "show", "6f0c"]) == 0
    assert "Best: trial 1, accuracy 0.75" in printed(capsys)
    assert pricetag(["study", "show", ID, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["best"]["trial"] == 1
    assert pricetag(["study", "show", "7777"]) == 1
    assert "study '7777' not found" in capsys.readouterr().err
    canceled = {name: SUMMARY[name] for name in StudyAccepted.model_fields if name != "url"}
    canceled |= {"url": f"/v1/studies/{ID}", "status": "cancelled"}
    api.answers[f"POST /v1/studies/{ID}/cancel"] = of(StudyAccepted, canceled, status=202)
    assert pricetag(["study", "cancel", ID]) == 0
    assert printed(capsys) == f"{ID} canceled"
