"""A chain of runs over REST: one trains, the next quantizes what the first has published.

The model goes from one to the other through the artifact store.
"""

from __future__ import annotations

import shutil
from typing import Any
from uuid import UUID

import pytest

from tests.support.service import Service, wait_until
from tests.support.small_models import CONFIG
from workers.training.data import synthetic

pytestmark = pytest.mark.slow

TRAIN = {"kind": "train", "name": "teacher", "max_steps": 20, "batch_size": 8, "max_length": 48}


def recipe(model: dict[str, Any], *stages: dict[str, Any]) -> dict[str, Any]:
    return {
        "task": "classification",
        "data": {"train": "reviews/train.tsv", "validation": "reviews/dev.tsv"},
        "model": model,
        "stages": list(stages),
    }


def ended(lab: Service, run_id: UUID, status: str) -> dict[str, Any]:
    run = lab.wait_for_end(run_id)
    assert run["status"] == status, run["status_reason"]
    return run


def test_a_model_is_trained_in_one_run_and_quantized_in_the_next(lab: Service) -> None:
    synthetic.write(lab.inputs / "reviews", train=200, dev=40, test=20)
    store = lab.data_dir / "store"
    store.mkdir()
    lab.start_worker("--gpus", "none", environment={"PRICETAG_ARTIFACTS_URL": str(store)})
    first = lab.submit(name="first", recipe=recipe({"config": CONFIG}, TRAIN))
    ended(lab, first, "succeeded")
    wait_until(lambda: is_stored(lab, first), "that the artifacts are stored")
    assert not (lab.data_dir / "artifacts" / str(first)).exists()
    source = {"run": str(first), "stage": "teacher"}
    quantize, evaluate = {"kind": "quantize"}, {"kind": "evaluate"}
    second = lab.submit(name="second", recipe=recipe(source, evaluate, quantize, evaluate))
    run = ended(lab, second, "succeeded")
    check_lineage(lab, first, second, run["lineage"])
    for run_id in (first, second):
        verification = lab.http.get(f"/v1/runs/{run_id}/price-tag/verification").json()
        assert verification["outcome"] == "verified"
    # The model that the second run evaluates first is the one that the first run left.
    accuracy, same, *_ = [
        metric["value"]
        for one in (first, second)
        for metric in lab.items(f"/v1/runs/{one}/metrics", name="accuracy")
    ]
    assert accuracy == same
    fetched = [line["text"] for line in lab.items(f"/v1/runs/{second}/logs")]
    assert any("bytes from the artifact store" in line for line in fetched)
    shutil.rmtree(store / "objects")
    shutil.rmtree(lab.data_dir / "artifact-cache")
    check_removed(lab, source)


def is_stored(lab: Service, run_id: UUID) -> bool:
    items = lab.http.get(f"/v1/runs/{run_id}/artifacts").json()["items"]
    return {item["place"] for item in items} == {"store"}


def check_lineage(lab: Service, first: UUID, second: UUID, lineage: dict[str, Any]) -> None:
    (model,) = lineage["models"]
    assert (model["run_id"], model["stage"], model["kind"]) == (str(first), "teacher", "train")
    published = lab.http.get(f"/v1/runs/{first}/artifacts").json()["items"]
    hashes = {item["name"]: item["sha256"] for item in published}
    assert model["sha256"] == hashes["stage-00-train/model.safetensors"]
    (upstream,) = lineage["upstream"]
    assert (upstream["run_id"], upstream["shared_by"]) == (str(first), 1)
    tags = [lab.http.get(f"/v1/runs/{one}/price-tag").json() for one in (first, second)]
    for name in ("it_energy_kwh", "co2e_kg"):
        for part in ("value", "low", "high"):
            expected = sum(tag[name][part] for tag in tags)
            assert lineage["cumulative"][name][part] == pytest.approx(expected, rel=1e-9)
    paid = sum(tag["cost"]["total"]["value"] for tag in tags)
    assert lineage["cumulative"]["cost"]["value"] == pytest.approx(paid, rel=1e-9)
    access = {"PRICETAG_URL": str(lab.http.base_url), "PRICETAG_TOKEN": lab.new_token("viewer")}
    shown = lab.cli("show", str(second), environment=access)
    assert shown.returncode == 0, shown.stderr
    assert "Runs upstream" in shown.stdout
    assert str(first)[:8] in shown.stdout


def check_removed(lab: Service, source: dict[str, str]) -> None:
    """A model that is no longer there ends the next run with a clear reason."""
    third = lab.submit(name="third", recipe=recipe(source, {"kind": "quantize"}))
    reason = ended(lab, third, "failed")["status_reason"]
    assert (reason["code"], reason["field"]) == ("missing-artifact", "recipe.model.run")
