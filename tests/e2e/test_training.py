"""Real training of a tiny network on the CPU: killed, canceled, and completed."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from pricetag.metering.journal import SHIPPED_SUFFIX
from pricetag.metering.machine import git_commit, process_start_ticks
from tests.support.bills import J_PER_KWH, check_bill
from tests.support.fake_powercap import FakePowercap
from tests.support.service import ASKED_EVERY_S, ROOT, Service, wait_until
from tests.support.small_models import CONFIG
from workers.training.checkpoints import newest, step_of
from workers.training.data import synthetic

pytestmark = pytest.mark.slow

SHORT = {"kind": "train", "max_steps": 40, "batch_size": 8, "learning_rate": 1e-3, "max_length": 48}
STEPS = 1500
LONG = {
    **SHORT,
    "name": "long",
    "max_steps": STEPS,
    "checkpoint_after_s": 0,
    "checkpoint_every_s": 1,
}


class Workers:
    """Keeps one worker running in a service; a killed one is replaced."""

    def __init__(self, lab: Service) -> None:
        self._lab = lab
        self._process: subprocess.Popen[bytes] | None = None

    def running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._process = self._lab.start_worker("--gpus", "none")
        return self._process


@pytest.fixture(scope="module")
def workers(shared_lab: Service) -> Workers:
    synthetic.write(shared_lab.inputs / "reviews", train=400, dev=60, test=40)
    return Workers(shared_lab)


def recipe(*stages: dict[str, Any]) -> dict[str, Any]:
    return {
        "task": "classification",
        "data": {"train": "reviews/train.tsv", "validation": "reviews/dev.tsv"},
        "model": {"config": CONFIG},
        "stages": list(stages),
    }


def steps_of_long(lab: Service, run_id: UUID, attempt: int | None = None) -> list[dict[str, Any]]:
    """The loss metrics of the long stage (an attempt's, or all): step and time of each."""
    of_attempt = {} if attempt is None else {"attempt": attempt}
    metrics = lab.items(f"/v1/runs/{run_id}/metrics", name="loss", limit=5000, **of_attempt)
    return [metric for metric in metrics if metric["step"] and metric["stage"] == "2"]


def reach_half(lab: Service, run_id: UUID) -> None:
    wait_until(
        lambda: any(metric["step"] >= STEPS / 2 for metric in steps_of_long(lab, run_id)),
        "half of the steps",
        every_s=ASKED_EVERY_S,
    )


def saved_step(lab: Service, run_id: UUID) -> int:
    """The last step of the long stage that is saved; there is one within a second or so."""

    def step() -> int | None:
        folders = (lab.data_dir / "work" / str(run_id)).rglob("checkpoints")
        saved = [checkpoint for folder in folders if (checkpoint := newest(folder))]
        return max(map(step_of, saved), default=None)

    return wait_until(step, "a checkpoint")


def check_resumed(lab: Service, run_id: UUID, saved: int, *, cut_off: str) -> None:
    """The second attempt continued from the last checkpoint, or from one after it."""
    run = lab.run(run_id)
    assert run["status"] == "succeeded", run["status_reason"]
    first, second = run["attempts"]
    assert [(stage["kind"], stage["status"]) for stage in first["stages"]] == [
        ("train", "succeeded"),
        ("evaluate", "succeeded"),
        ("train", cut_off),
    ]
    assert [(stage["kind"], stage["status"]) for stage in second["stages"]] == [
        ("train", "reused"),
        ("evaluate", "reused"),
        ("train", "succeeded"),
        ("evaluate", "succeeded"),
    ]
    resumed = min(metric["step"] for metric in steps_of_long(lab, run_id, 2))
    assert max(metric["step"] for metric in steps_of_long(lab, run_id, 2)) == STEPS
    line = next(text for text in lab.log_text(run_id).splitlines() if "resuming from" in text)
    assert saved <= int(line.rpartition("-")[2]) < resumed
    # What was trained before the kill stays on the bill of the attempt that trained it.
    trained = {
        metric["attempt"]: metric["value"]
        for metric in lab.items(f"/v1/runs/{run_id}/metrics", name="steps")
        if metric["stage"] == "2"
    }
    assert set(trained) == {2}


def test_the_training_of_a_killed_worker_continues_from_its_checkpoint(
    shared_lab: Service, workers: Workers, powercap: FakePowercap
) -> None:
    worker = workers.running()
    run_id = shared_lab.submit(recipe=recipe(SHORT, LONG))
    reach_half(shared_lab, run_id)
    child = shared_lab.child_pid()
    assert child is not None
    saved = saved_step(shared_lab, run_id)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    wait_until(lambda: process_start_ticks(child) is None, "the child's end")
    workers.running()
    shared_lab.wait_for_end(run_id)
    check_resumed(shared_lab, run_id, saved, cut_off="lost")
    tag = check_bill(shared_lab, run_id, powercap)
    assert [a["status"] for a in tag["attempts"]] == ["lost", "succeeded"]


def test_a_killed_training_continues_from_its_checkpoint(
    shared_lab: Service, workers: Workers, powercap: FakePowercap
) -> None:
    workers.running()
    run_id = shared_lab.submit(recipe=recipe(SHORT, LONG))
    reach_half(shared_lab, run_id)
    child = shared_lab.child_pid()
    assert child is not None
    saved = saved_step(shared_lab, run_id)
    os.kill(child, signal.SIGKILL)
    shared_lab.wait_for_end(run_id)
    check_resumed(shared_lab, run_id, saved, cut_off="interrupted")
    tag = check_bill(shared_lab, run_id, powercap)
    assert [(a["status"], (a["reason"] or {}).get("code")) for a in tag["attempts"]] == [
        ("interrupted", "child-killed"),
        ("succeeded", None),
    ]


def test_a_stopped_worker_lets_its_training_save(
    shared_lab: Service, workers: Workers, powercap: FakePowercap
) -> None:
    worker = workers.running()
    unsaved = {**LONG, "checkpoint_after_s": 3600, "checkpoint_every_s": 3600}
    run_id = shared_lab.submit(recipe=recipe(SHORT, unsaved))
    reach_half(shared_lab, run_id)
    os.killpg(worker.pid, signal.SIGTERM)  # all of its processes, as a service manager does
    assert worker.wait(timeout=60) == 0
    assert shared_lab.run(run_id)["status"] == "queued"
    workers.running()
    assert shared_lab.wait_for_end(run_id)["status"] == "succeeded"
    reached = max(metric["step"] for metric in steps_of_long(shared_lab, run_id, 1))
    resumed_line = next(
        line for line in shared_lab.log_text(run_id).splitlines() if "resuming" in line
    )
    assert int(resumed_line.rpartition("-")[2]) >= reached
    tag = check_bill(shared_lab, run_id, powercap)
    assert [(a["status"], (a["reason"] or {}).get("code")) for a in tag["attempts"]] == [
        ("interrupted", "worker-stopping"),
        ("succeeded", None),
    ]


def test_a_canceled_training_exits_in_time(
    shared_lab: Service, workers: Workers, powercap: FakePowercap
) -> None:
    workers.running()
    endless = {**LONG, "max_steps": 10**6}
    run_id = shared_lab.submit(recipe=recipe(SHORT, endless))

    def trains() -> bool:
        progress = shared_lab.run(run_id)["progress"] or {}
        return progress.get("name") == "long" and (progress["done"] or 0) > 100

    wait_until(trains, "the training")
    child = shared_lab.child_pid()
    assert child is not None
    response = shared_lab.http.post(f"/v1/runs/{run_id}/cancel")
    assert response.status_code == 202
    assert response.json()["cancel_requested_at"] is not None
    run = shared_lab.wait_for_end(run_id)
    # It left by itself, after the step it was in: nobody had to wait for the grace time.
    assert "killed" not in shared_lab.log_text(run_id)
    assert (run["status"], run["status_reason"]["code"]) == ("cancelled", "cancelled")
    assert [attempt["status"] for attempt in run["attempts"]] == ["cancelled"]
    assert process_start_ticks(child) is None
    check_bill(shared_lab, run_id, powercap)


PIPELINE = (
    {**SHORT, "name": "teacher", "max_steps": 150, "seed": 7},
    {**SHORT, "kind": "distill", "max_steps": 60, "student": {"layers": 1}},
    {"kind": "prune", "sparsity": 0.5, "recovery_epochs": 0.2, "max_length": 48},
    {"kind": "quantize"},
    {"kind": "measure", "min_seconds": 1.0, "batch_size": 8},
)
KINDS = ["train", "distill", "prune", "quantize"]


@pytest.fixture(scope="module")
def pipeline(shared_lab: Service, workers: Workers) -> UUID:
    """A run of every stage kind, to its end."""
    workers.running()
    run_id = shared_lab.submit(name="pipeline & co_", tags=["whole"], recipe=recipe(*PIPELINE))
    run = shared_lab.wait_for_end(run_id)
    assert run["status"] == "succeeded", shared_lab.log_text(run_id)
    return run_id


def test_the_artifacts_of_a_pipeline_are_published(shared_lab: Service, pipeline: UUID) -> None:
    listed = shared_lab.http.get(f"/v1/runs/{pipeline}/artifacts").json()["items"]
    names = {item["name"] for item in listed}
    for index, kind in enumerate(KINDS):
        assert {f"stage-{index:02d}-{kind}/{file}" for file in FILES} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl", ".pth"))]
    sizes = {}
    for item in listed:
        response = shared_lab.http.get(item["download_url"])
        assert response.status_code == 200
        assert len(response.content) == item["size_bytes"]
        assert hashlib.sha256(response.content).hexdigest() == item["sha256"]
        sizes[item["name"]] = item["size_bytes"]
        if item["name"].endswith("card.json"):
            check_card(json.loads(response.content), pipeline)
        if item["name"].endswith("model.safetensors"):
            check_card(item["card"], pipeline)
    assert sizes["stage-03-quantize/model.safetensors"] < sizes["stage-02-prune/model.safetensors"]
    assert sizes["stage-01-distill/model.safetensors"] < sizes["stage-00-train/model.safetensors"]


FILES = ("model.safetensors", "config.json", "card.json", "tokenizer.json")


def check_card(card: dict[str, Any], run_id: UUID) -> None:
    """The card states what the model is, its run, its ancestors and its quality."""
    assert card["run_id"] == str(run_id)
    assert card["task"] == "classification"
    assert card["base_model"]["config"]["hidden_size"] == CONFIG["hidden_size"]
    assert [parent["kind"] for parent in card["parents"]] == KINDS[: card["stage"]]
    assert card["kind"] == KINDS[card["stage"]]
    if card["kind"] != "quantize":
        assert 0.0 <= card["quality"]["validation"]["accuracy"] <= 1.0


def test_the_price_tag_of_a_pipeline_is_complete(
    shared_lab: Service, pipeline: UUID, powercap: FakePowercap
) -> None:
    tag = check_bill(shared_lab, pipeline, powercap)
    check_totals(tag, powercap)
    check_parts(tag, powercap)
    check_quality(tag)
    opinion = tag["second_opinion"]
    assert opinion["tool"] == "codecarbon"
    assert opinion["total"]["theirs_kwh"]["value"] is not None or opinion["reason"]
    provenance = tag["provenance"]
    assert provenance["accounting_version"]
    assert provenance["git_commit"] == git_commit(ROOT)
    assert {"pricetag", "torch", "transformers"} <= set(provenance["packages"])
    assert provenance["seeds"]["stages.0"] == 7
    files = {file["role"]: file for file in provenance["inputs"]}
    assert {"data.train", "data.validation"} <= files.keys()
    assert all(re.fullmatch(r"[0-9a-f]{64}", file["sha256"]) for file in files.values())


def test_the_price_tag_of_a_pipeline_is_verified(
    shared_lab: Service, pipeline: UUID, tmp_path: Path
) -> None:
    """From the command line, as a run and as a file; re-priced, the old version still holds."""
    token = {"PRICETAG_TOKEN": shared_lab.new_token("viewer")}
    by_run = shared_lab.cli("verify", str(pipeline), environment=token)
    assert (by_run.returncode, by_run.stderr) == (0, "")
    tag = shared_lab.price_tag(pipeline)
    file = tmp_path / "tag.json"
    file.write_text(json.dumps(tag))
    by_file = shared_lab.cli("verify", str(file), "--json", environment=token)
    report = json.loads(by_file.stdout)
    assert {step["step"]: step["status"] for step in report["steps"]} == {
        "content-hash": "ok",
        "as-issued": "ok",
        "measurements": "ok",
        "arithmetic": "ok",
    }
    again = shared_lab.http.post(f"/v1/runs/{pipeline}/price-tag/reprice", json={})
    assert again.json()["version"] == tag["version"] + 1
    old = shared_lab.cli("verify", f"{pipeline}@{tag['version']}", environment=token)
    assert old.returncode == 0, old.stdout


def check_quantity(quantity: dict[str, Any], unit: str, source: str | None = None) -> float:
    """A value within its interval, with its unit and where it is from."""
    assert quantity["low"] <= quantity["value"] <= quantity["high"]
    assert quantity["unit"] == unit
    assert quantity["source"] is not None
    assert source in (None, quantity["source"])
    return float(quantity["value"])


def check_totals(tag: dict[str, Any], powercap: FakePowercap) -> None:
    """One arithmetic: 130 W, a PUE of 1.2, 100 g and 0.30 USD a kWh."""
    duration_s = check_quantity(tag["duration_s"], "s")
    it_kwh = check_quantity(tag["it_energy_kwh"], "kWh", "counter")
    facility_kwh = check_quantity(tag["facility_energy_kwh"], "kWh")
    assert it_kwh == powercap.drew(duration_s, J_PER_KWH)
    power_w = check_quantity(tag["power_w"], "W")
    assert power_w == pytest.approx(it_kwh * J_PER_KWH / duration_s)
    assert check_quantity(tag["pue"], "1") == 1.2
    assert facility_kwh == pytest.approx(1.2 * it_kwh)
    assert check_quantity(tag["carbon_intensity_g_per_kwh"], "g/kWh") == 100.0
    assert check_quantity(tag["co2e_kg"], "kg") == pytest.approx(0.1 * facility_kwh)
    factor = tag["provenance"]["factors"]["carbon_intensity"]
    assert {"value", "source", "year", "basis", "citation"} <= set(factor)
    assert check_quantity(tag["cost"]["electricity"], "USD") == pytest.approx(0.3 * facility_kwh)
    assert tag["cost"]["currency"] == "USD"
    assert tag["cost"]["cloud"]["value"] is None  # no device was reserved: unknown, not 0
    assert "accelerator" in tag["cost"]["cloud"]["reason"]
    dense, effective = tag["flops"]["dense"], tag["flops"]["effective"]
    assert 0 < check_quantity(effective, "FLOP") < check_quantity(dense, "FLOP")
    assert check_quantity(tag["coverage_ratio"], "1") == pytest.approx(1.0, abs=1e-3)
    assert tag["device_count"] == 0
    assert {device["kind"] for device in tag["hardware"]["devices"]} == {"cpu", "ram"}


def check_parts(tag: dict[str, Any], powercap: FakePowercap) -> None:
    """Components, stages and attempts each with energy; each kind of part adds up."""
    total_kwh = tag["it_energy_kwh"]["value"]
    for parts in (tag["components"], tag["attempts"]):
        energies = [check_quantity(part["it_energy_kwh"], "kWh") for part in parts]
        assert sum(energies) == pytest.approx(total_kwh, rel=1e-9)
    top = [stage for stage in tag["stages"] if stage["parent"] is None]
    assert [stage["kind"] for stage in top] == [
        *("train", "evaluate", "distill", "evaluate", "prune", "evaluate", "quantize", "measure")
    ]
    energies = [check_quantity(stage["it_energy_kwh"], "kWh", "counter") for stage in top]
    outside_kwh = tag["provenance"]["outside_stages"]["it_energy_kwh"]["value"]
    assert sum(energies) + outside_kwh == pytest.approx(total_kwh, rel=1e-6)
    for stage, energy_kwh in zip(top, energies, strict=True):
        assert energy_kwh == powercap.drew(stage["duration_s"]["value"], J_PER_KWH), stage
    [inference] = [stage for stage in tag["stages"] if stage["parent"] is not None]
    assert inference["kind"] == "inference"
    assert inference["duration_s"]["value"] >= 1.0


def check_quality(tag: dict[str, Any]) -> None:
    measured = {item["metric"]: item for item in tag["quality"] if item["stage"] == "7"}
    assert 0.0 <= measured["accuracy"]["value"] <= 1.0
    assert measured["accuracy"]["split"] == "validation"
    assert measured["encoder_sparsity"]["value"] == pytest.approx(0.5, abs=0.02)
    names = set(measured) | {item["metric"] for item in tag["quality"]}
    assert {
        *("parameters", "non_zero_parameters", "model_bytes", "flops_per_example"),
        *("latency_p50_batch_1_s", "latency_p95_batch_1_s", "throughput_per_s", "inferences"),
    } <= names


HEADS = {
    "html": b"<!doctype html",
    "pdf": b"%PDF-",
    "tex": rb"\documentclass",
    "md": b"#",
}


@pytest.mark.parametrize("profile", ["strubell2019", "site"])
def test_a_report_of_a_pipeline_has_six_formats(
    shared_lab: Service, pipeline: UUID, profile: str
) -> None:
    made = shared_lab.http.post(
        "/v1/reports", json={"title": "What it cost", "runs": [str(pipeline)], "profile": profile}
    )
    assert made.status_code == 201, made.text
    report = made.json()
    assert set(report["formats"]) == {"html", "pdf", "tex", "md", "csv", "json"}
    content = {}
    for fmt in report["formats"]:
        response = shared_lab.http.get(f"/v1/reports/{report['id']}.{fmt}")
        assert response.status_code == 200, response.text
        content[fmt] = response.content
        again = shared_lab.http.get(f"/v1/reports/{report['id']}.{fmt}")
        assert again.headers["ETag"] == response.headers["ETag"]
    for fmt, head in HEADS.items():
        assert content[fmt].lower().startswith(head.lower()), content[fmt][:100]
    assert "pipeline &amp; co_" in content["html"].decode()
    assert r"pipeline \& co\_" in content["tex"].decode()
    assert r"\toprule" in content["tex"].decode()
    rows = list(csv.reader(io.StringIO(content["csv"].decode())))
    assert len(rows) > 1
    assert len({len(row) for row in rows}) == 1
    assert json.loads(content["json"])["title"] == "What it cost"
    assert shared_lab.http.get(f"/v1/reports/{report['id']}").json()["context"]


def test_every_journal_was_shipped(shared_lab: Service, pipeline: UUID) -> None:
    journals = shared_lab.data_dir / "journal"
    wait_until(lambda: not list(journals.glob("*.jsonl")), "shipping")
    attempts = sum(
        len(shared_lab.run(UUID(run["id"]))["attempts"]) for run in shared_lab.items("/v1/runs")
    )
    assert len(list(journals.glob(f"*{SHIPPED_SUFFIX}"))) == attempts
