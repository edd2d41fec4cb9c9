"""Price tags beside the metrics of the real MLflow."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from pricetag.events import ENV_VAR, RUN_VAR
from pricetag.integrations import mlflow
from pricetag.integrations.mlflow import PricetagRunContext, metrics_of, params_of
from pricetag.local.runs import LocalRuns
from tests.support.local_runs import Bench, plant
from tests.support.patience import PATIENCE_S

# Nothing of Pricetag is called in the first run; the third fails.
SCRIPT = """
import contextlib, json, sys
import mlflow, pricetag
from pricetag.integrations.mlflow import start_run

mlflow.set_tracking_uri(f"file://{sys.argv[1]}")
ids = []
with pricetag.track("outer", quiet=True), mlflow.start_run() as plain:
    ids.append(plain.info.run_id)
with start_run(run_name="fine", project="reviews") as metered:
    ids.append(metered.info.run_id)
with contextlib.suppress(ZeroDivisionError), start_run(run_name="failing") as failing:
    ids.append(failing.info.run_id)
    1 / 0
client = mlflow.MlflowClient()
runs = [client.get_run(each) for each in ids]
print(json.dumps([
    {"metrics": run.data.metrics, "params": run.data.params, "tags": run.data.tags}
    | {"status": run.info.status}
    | {"artifacts": [each.path for each in client.list_artifacts(run.info.run_id, "pricetag")]}
    for run in runs
]))
"""


@pytest.mark.slow
def test_runs_of_mlflow_have_the_run_id_and_at_their_end_the_price_tag(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "data")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "mlruns")],
        env=bench.environ | {"MLFLOW_ALLOW_FILE_STORE": "true"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    plain, metered, failing = json.loads(done.stdout)
    kept = {run.run["name"]: run for run in bench.runs.all()}
    assert plain["tags"]["pricetag.run_id"] == kept["outer"].run["id"]
    assert (plain["metrics"], plain["artifacts"]) == ({}, [])
    for logged, name, status in ((metered, "fine", "FINISHED"), (failing, "failing", "FAILED")):
        assert logged["status"] == status
        assert logged["tags"]["pricetag.run_id"] == kept[name].run["id"]
        tag: Any = kept[name].price_tag
        assert logged["metrics"]["pricetag/it_energy_kwh"] == tag["it_energy_kwh"]["value"]
        assert logged["metrics"]["pricetag/co2e_kg_high"] == tag["co2e_kg"]["high"]
        assert logged["params"]["pricetag.it_energy_kwh.source"] == "modelled"
        assert logged["params"]["pricetag.sha256"] == tag["content_sha256"]
        assert logged["artifacts"] == ["pricetag/price_tag.json"]
    assert kept["fine"].run["project"] == "reviews"


def test_unknown_figures_have_a_reason_instead_of_a_metric(tmp_path: Path) -> None:
    tag: Any = plant(tmp_path).price_tag
    unknown = {"value": None, "low": None, "high": None, "source": None, "reason": "no meter"}
    tag = tag | {"co2e_kg": tag["co2e_kg"] | unknown}
    assert not any(name.startswith("co2e") for name in metrics_of(tag))
    assert metrics_of(tag)["it_energy_kwh_low"] == tag["it_energy_kwh"]["low"]
    assert params_of(tag)["co2e_kg.reason"] == "no meter"
    assert params_of(tag)["cost.reason"] == tag["cost"]["total"]["reason"]
    assert params_of(tag)["hardware"] == "Test CPU"


def test_a_job_of_a_worker_is_linked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENV_VAR, raising=False)
    assert not PricetagRunContext().in_context()
    monkeypatch.setenv(ENV_VAR, "/nowhere/events.sock")
    monkeypatch.setenv(RUN_VAR, "0b5f")
    assert PricetagRunContext().in_context()
    assert PricetagRunContext().tags() == {"pricetag.run_id": "0b5f"}
    monkeypatch.setenv("PRICETAG_URL", "https://lab.example")
    assert PricetagRunContext().tags()["pricetag.url"] == "https://lab.example/runs/0b5f"


def test_entry_points_name_what_exists() -> None:
    groups = ("mlflow.run_context_provider", "lightning.pytorch.callbacks_factory")
    for group in (*groups, "pytorch_lightning.callbacks_factory"):
        (ours,) = (each for each in entry_points(group=group) if each.name == "pricetag")
        assert callable(ours.load())


def test_a_run_without_a_meter_in_reach_has_no_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICETAG_DATA_DIR", str(tmp_path))
    monkeypatch.delenv(RUN_VAR, raising=False)
    monkeypatch.setenv(ENV_VAR, "/nowhere/events.sock")
    monkeypatch.setattr(mlflow, "METER_STARTS_WITHIN_S", 0.0)
    plant(tmp_path / "local")  # a settled run of another program
    assert LocalRuns(tmp_path / "local").all()
    assert PricetagRunContext().tags() == {}


def test_without_a_price_tag_nothing_is_logged_and_a_line_says_why(
    capsys: pytest.CaptureFixture[str],
) -> None:
    mlflow.log_price_tag(None, "0b5f")
    message = capsys.readouterr().err
    assert message.startswith("pricetag: nothing is logged to MLflow: there is no price tag")
    assert "inside a run that is metered already" in message
