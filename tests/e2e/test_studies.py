"""A study whose worker and server are killed: it continues, and nothing is trained twice."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.service import ASKED_EVERY_S, Service, wait_until

pytestmark = pytest.mark.slow

TRAINS = """
import os, pathlib, sys, time
import pricetag
folder, trial = pathlib.Path(sys.argv[1]), os.environ["STUDY_TRIAL"]
target, before = int(os.environ["STUDY_RESOURCE"]), int(os.environ["STUDY_RESOURCE_BEFORE"])
checkpoint = folder / f"trial-{trial}"
done = len(checkpoint.read_text().splitlines()) if checkpoint.exists() else 0
assert done >= before, "the rung before has left its checkpoint"
with pricetag.stage("train"):
    for unit in range(done, target):
        while trial == "1" and unit == 1 and (folder / "hold").exists():
            (folder / "held").touch()
            time.sleep(0.05)
        with checkpoint.open("a") as out:
            out.write(f"{unit}\\n")
pricetag.log(accuracy=0.1 * (3 - abs(int(trial) - 1)))
"""


def test_a_study_continues_after_its_worker_and_the_server_were_killed(
    lab: Service, tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    script.write_text(TRAINS)
    (tmp_path / "hold").touch()
    argv = [sys.executable, str(script), str(tmp_path)]
    base = {"project": "e2e", "experiment": "e2e", "name": "trains"}
    study = {
        "name": "halving",
        "base": {**base, "recipe": {"stages": [{"kind": "command", "argv": argv}]}},
        "space": [
            {"kind": "choice", "field": "recipe.stages.0.env.WIDTH", "values": ["8", "16", "32"]}
        ],
        "strategy": {"kind": "successive_halving", "trials": 4, "eta": 2},
        "metric": {"name": "accuracy"},
        "parallel": 2,
    }
    worker = lab.start_worker()
    response = lab.http.post("/v1/studies", json=study)
    assert response.status_code == 202, response.text
    path = response.json()["url"]
    wait_until((tmp_path / "held").exists, "the second rung of trial 1", every_s=ASKED_EVERY_S)
    os.kill(worker.pid, signal.SIGKILL)
    os.kill(lab.server.pid, signal.SIGKILL)
    lab.server.wait()
    (tmp_path / "hold").unlink()
    lab.start_server()
    lab.start_worker(log="second worker")

    def ended() -> dict[str, Any] | None:
        with contextlib.suppress(httpx.TransportError):
            shown = dict(lab.http.get(path).json())
            return shown if shown["status"] != "running" else None
        return None

    shown = wait_until(ended, "the end of the study", timeout_s=420, every_s=ASKED_EVERY_S)
    assert shown["status_reason"]["code"] == "completed"
    assert [rung["done_trials"] for rung in shown["brackets"][0]["rungs"]] == [4, 2, 1]
    # Trials 0 and 2 are equal: the lower number continues.
    assert [len(trial["runs"]) for trial in shown["trials"]] == [2, 3, 1, 1]
    assert shown["best"]["trial"] == 1
    trained = [(tmp_path / f"trial-{trial}").read_text().split() for trial in range(4)]
    assert trained == [["0", "1"], ["0", "1", "2", "3"], ["0"], ["0"]]
    runs = lab.items("/v1/runs", tag=f"study:{shown['id']}")
    assert len(runs) == shown["runs"] == 7
    held = next(run for run in runs if run["name"] == "halving trial 1 rung 1")
    assert len(lab.http.get(f"/v1/runs/{held['id']}").json()["attempts"]) == 2
    tags = [run["price_tag"]["it_energy_kwh"] for run in runs]
    assert shown["price_tag"]["it_energy_kwh"]["value"] == pytest.approx(sum(tags), rel=1e-12)
    assert shown["saved"]["stopped_trials"] == 3
    assert shown["saved"]["it_energy_kwh"]["value"] > 0
