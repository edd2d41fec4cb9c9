"""Real trainings on the CPU: the second is quoted from the first, projected, and scored."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
import yaml

from tests.support.service import ASKED_EVERY_S, Service, wait_until
from tests.support.small_models import CONFIG
from workers.training.data import synthetic

pytestmark = pytest.mark.slow

SHORT, LONG = 200, 1000


def body(steps: int, seed: int = 0) -> dict[str, Any]:
    train = {"kind": "train", "max_steps": steps, "batch_size": 8, "max_length": 48, "seed": seed}
    return {
        "project": "e2e",
        "experiment": "quotes",
        "name": f"{steps} steps, seed {seed}",
        "recipe": {
            "task": "classification",
            "data": {"train": "reviews/train.tsv", "validation": "reviews/dev.tsv"},
            "model": {"config": CONFIG},
            "stages": [train],
        },
    }


def quote(lab: Service, run_id: UUID) -> dict[str, Any]:
    response = lab.http.get(f"/v1/runs/{run_id}/quote")
    assert response.status_code == 200, response.text
    return dict(response.json())


def value(of: dict[str, Any], name: str) -> float:
    figure = of["quantities"][name]["value"]
    assert figure is not None, of["quantities"][name]
    return float(figure)


def test_the_second_run_is_quoted_from_the_first(lab: Service) -> None:
    synthetic.write(lab.inputs / "reviews", train=400, dev=60, test=0)
    lab.start_worker("--gpus", "none")
    first = lab.submit(**body(SHORT))
    assert quote(lab, first)["method"] == "unknown"
    assert lab.wait_for_end(first)["status"] == "succeeded"
    assert quote(lab, first)["score"]["quantities"]["it_energy_kwh"] is None

    file = lab.inputs / "job.yaml"
    file.write_text(yaml.safe_dump(body(LONG)))
    asked = lab.cli("quote", str(file), "--json", environment=_token(lab))
    assert asked.returncode == 0, asked.stderr
    offered = json.loads(asked.stdout)
    assert (offered["method"], offered["level"]) == ("history", "same-shape")
    assert offered["runs"] == [str(first)]
    assert 1 < offered["work_ratio"] <= LONG / SHORT
    check_scaled(offered, lab.price_tag(first))

    second = lab.submit(**body(LONG))
    assert quote(lab, second)["quantities"] == offered["quantities"]

    def projected() -> dict[str, Any] | None:
        shown = lab.run(second)
        projection = shown["projection"]
        if projection is None or projection["quantities"]["it_energy_kwh"]["value"] is None:
            assert shown["status"] in ("queued", "running"), shown["status_reason"]
            return None
        return dict(projection)

    early = wait_until(projected, "a projection", every_s=ASKED_EVERY_S)
    assert early["progress_ratio"] >= 0.05
    assert lab.wait_for_end(second)["status"] == "succeeded"

    tag = lab.price_tag(second)
    score = quote(lab, second)["score"]
    assert score["status"] == "succeeded"
    for name in ("duration_s", "it_energy_kwh", "facility_energy_kwh", "co2e_kg", "cost"):
        actual = tag["cost"]["total"] if name == "cost" else tag[name]
        hit = score["quantities"][name]
        assert hit["actual"] == actual["value"]
        assert hit["quoted"] == value(offered, name)
        # Its accuracy depends on the other load of the machine.
        assert hit["factor"] == pytest.approx(hit["actual"] / hit["quoted"])
    assert 0.1 < tag["duration_s"]["value"] / value(early, "duration_s") < 10

    third = lab.submit(**body(LONG, seed=1))
    again = quote(lab, third)
    assert (again["level"], again["runs"]) == ("same-recipe", [str(second)])
    assert value(again, "it_energy_kwh") == pytest.approx(tag["it_energy_kwh"]["value"])
    assert lab.http.post(f"/v1/runs/{third}/cancel").status_code == 202

    scored = lab.cli("quote", "--score", "--json", environment=_token(lab))
    groups = json.loads(scored.stdout)["groups"]
    assert {(group["level"], group["count"]) for group in groups} == {("same-shape", 1)}


def check_scaled(offered: dict[str, Any], tag: dict[str, Any]) -> None:
    """The training of the first run is scaled by its steps; the rest is as it was."""
    [training] = [stage for stage in tag["stages"] if stage["kind"] == "train"]
    for name in ("duration_s", "it_energy_kwh"):
        whole, part = tag[name]["value"], training[name]["value"]
        expected = whole + part * (LONG / SHORT - 1)
        assert value(offered, name) == pytest.approx(expected, rel=1e-3), name


def _token(lab: Service) -> dict[str, str]:
    secret = str(lab.http.headers["Authorization"]).removeprefix("Bearer ")
    return {"PRICETAG_URL": str(lab.http.base_url), "PRICETAG_TOKEN": secret}
