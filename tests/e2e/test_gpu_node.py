"""A worker on a node of eight simulated GPUs: devices are never shared, every joule is booked."""

from __future__ import annotations

import os
import signal
import time
from itertools import combinations
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.support.fake_nvml import FakeDevice, FakeTrace, true_energy_j
from tests.support.gpu_node import (
    J_PER_KWH,
    UUIDS,
    GpuNode,
    booked_j,
    meter_opened_s,
    steady_trace,
)
from tests.support.service import Service, wait_until

pytestmark = pytest.mark.slow

FAULT_S = 40.0
"""After the worker's start; its job is under way long before."""


@pytest.fixture(scope="module")
def node(shared_lab: Service, tmp_path_factory: pytest.TempPathFactory) -> GpuNode:
    """Eight devices in the pool ``gpus``, its worker running."""
    made = GpuNode(shared_lab, tmp_path_factory.mktemp("gpus"), steady_trace())
    made.start_worker("--cpu-slots", "0")
    return made


def check_energy(node: GpuNode, run_id: UUID, *uuids: str) -> dict[str, Any]:
    """Every attempt's energy of every device is what the counter rose by, within 1%."""
    tag = node.lab.price_tag(run_id)
    journals = wait_until(
        lambda: node.lab.journals(run_id) if tag["attempts"] else None, "the journals"
    )
    for attempt, journal in zip(tag["attempts"], journals, strict=True):
        booked = booked_j(attempt)
        assert {key for key in booked if key.startswith("gpu:")} == {f"gpu:{u}" for u in uuids}
        for uuid in uuids:
            true_j = node.true_j(journal, uuid, attempt["duration_s"]["value"])
            assert booked[f"gpu:{uuid}"] == pytest.approx(true_j, rel=0.01), journal
    whole = booked_j(tag)
    for uuid in uuids:
        parts = [booked_j(attempt)[f"gpu:{uuid}"] or 0.0 for attempt in tag["attempts"]]
        assert whole[f"gpu:{uuid}"] == pytest.approx(sum(parts), rel=1e-9)
    return tag


def devices_of(run: dict[str, Any]) -> list[str]:
    return [device["uuid"] for device in run["attempts"][-1]["devices"]]


def test_runs_execute_side_by_side_on_their_own_devices(node: GpuNode) -> None:
    """Three and two devices are out: a run of four waits for the three, one of one does not."""
    kept = {name: node.until_let_go(name, 4.0) for name in ("three", "two")}
    sizes: dict[str, tuple[int, float | str]] = {
        "three": (3, kept["three"]),
        "two": (2, kept["two"]),
        "four": (4, 1.5),
        "one": (1, 1.5),
    }
    ids = {}
    for name, (gpus, seconds) in sizes.items():
        ids[name] = node.submit(name, gpus=gpus, seconds=seconds)
        if name == "two":
            wait_until(lambda: {"three", "two"} <= node.begun(), "the first two runs")
    too_many = node.submit("nine", gpus=9, seconds=0.1)
    wait_until(lambda: "one" in node.begun(), "a run on the free device")
    assert "four" not in node.begun()
    node.let_go("three")
    wait_until(lambda: "four" in node.begun(), "a run on the devices that were let go")
    node.let_go("two")
    runs = {name: node.lab.wait_for_end(run_id) for name, run_id in ids.items()}
    assert {run["status"] for run in runs.values()} == {"succeeded"}

    held = {item.name: item for item in node.held()}
    for name, (gpus, _) in sizes.items():
        assert len(held[name].uuids) == gpus
        assert set(held[name].uuids) <= set(UUIDS)
        assert devices_of(runs[name]) == list(held[name].uuids)
    for first, second in combinations(held.values(), 2):
        together = first.begin_s < second.end_s and second.begin_s < first.end_s
        assert not (together and set(first.uuids) & set(second.uuids)), (first, second)
    assert held["three"].end_s < held["four"].begin_s < held["two"].end_s
    assert held["one"].begin_s < held["three"].end_s

    for name, (gpus, _) in sizes.items():
        tag = check_energy(node, ids[name], *held[name].uuids)
        assert tag["device_count"] == gpus
        assert tag["it_energy_kwh"]["source"] == "counter"
        check_price(tag)
    check_second_opinion(node, ids["two"], *held["two"].uuids)

    assert node.lab.run(too_many)["status"] == "queued"
    assert node.lab.http.post(f"/v1/runs/{too_many}/cancel").json()["status"] == "cancelled"


def check_price(tag: dict[str, Any]) -> None:
    """What the device-hours would have cost in a cloud, at the catalog's price range."""
    hours = tag["device_count"] * tag["duration_s"]["value"] / 3600.0
    cloud = tag["cost"]["cloud"]
    assert cloud["low"] == pytest.approx(0.74 * hours, rel=1e-6)
    assert cloud["high"] == pytest.approx(2.48 * hours, rel=1e-6)
    assert cloud["source"] == "assumed"


def check_second_opinion(node: GpuNode, run_id: UUID, *uuids: str) -> None:
    """CodeCarbon, which starts a little later, saw the same devices; the tag compares the two."""
    [journal] = node.lab.journals(run_id)
    [opinion_record] = [record for record in journal if record["type"] == "second_opinion"]
    assert opinion_record["reason"] is None
    until_s = meter_opened_s(journal) + opinion_record["t_s"]
    since_s = until_s - opinion_record["duration_s"]
    true_j = sum(true_energy_j(node.trace, uuid, since_s, until_s) for uuid in uuids)
    assert opinion_record["gpu_kwh"] * J_PER_KWH == pytest.approx(true_j, rel=0.5)
    opinion = node.lab.price_tag(run_id)["second_opinion"]
    assert (opinion["tool"], opinion["reason"]) == ("codecarbon", None)
    theirs = {item["kind"]: item["theirs_kwh"]["value"] for item in opinion["components"]}
    assert theirs["gpu"] == opinion_record["gpu_kwh"]
    ratio = opinion["total"]["theirs_kwh"]["value"] / opinion["total"]["ours_kwh"]["value"]
    assert opinion["total"]["difference_ratio"]["value"] == pytest.approx(ratio - 1.0)


def test_a_run_on_two_devices_survives_a_killed_worker(node: GpuNode) -> None:
    pool = "killed"
    worker = node.start_worker("--gpus", "2,3", "--cpu-slots", "0", pool=pool)
    run_id = node.submit("killed", gpus=2, seconds=node.until_let_go("killed", 3.0), pool=pool)
    wait_until(lambda: "killed" in node.begun(), "the run")
    time.sleep(3.5)
    os.kill(worker.pid, signal.SIGKILL)
    node.let_go("killed")
    node.start_worker("--gpus", "2,3", "--cpu-slots", "0", pool=pool)
    run = node.lab.wait_for_end(run_id)
    assert run["status"] == "succeeded"
    tag = check_energy(node, run_id, UUIDS[2], UUIDS[3])
    assert [attempt["status"] for attempt in tag["attempts"]] == ["lost", "succeeded"]
    assert all(attempt["duration_s"]["value"] > 2.0 for attempt in tag["attempts"])


def test_faults_of_devices_during_a_run_are_flagged(shared_lab: Service, tmp_path: Path) -> None:
    """A counter reset, a lost device and a frozen counter beside five healthy ones."""
    healthy = [FakeDevice(uuid, base_w=100.0 + 30 * k) for k, uuid in enumerate(UUIDS[:5])]
    reset = FakeDevice(UUIDS[5], base_w=300.0, resets=(FAULT_S,))
    lost = FakeDevice(UUIDS[6], base_w=400.0, losses=((FAULT_S, FAULT_S + 2.5),))
    frozen = FakeDevice(UUIDS[7], base_w=500.0, freezes=((FAULT_S, FAULT_S + 4.5),))
    trace = FakeTrace([*healthy, reset, lost, frozen])
    node = GpuNode(shared_lab, tmp_path, trace, pool="faulty")
    over_s = trace.epoch_s + FAULT_S + 7.5
    run_id = node.submit("faults", gpus=8, seconds=f"$(({over_s:.0f} - $(date +%s)))")
    node.start_worker("--cpu-slots", "0")
    assert node.lab.wait_for_end(run_id)["status"] == "succeeded"

    tag = node.lab.price_tag(run_id)
    [journal] = node.lab.journals(run_id)
    duration_s = tag["attempts"][0]["duration_s"]["value"]
    components = {item["id"].removeprefix("gpu:"): item for item in tag["components"]}
    booked = {uuid: booked_j(tag)[f"gpu:{uuid}"] for uuid in UUIDS}
    true = {uuid: node.true_j(journal, uuid, duration_s) for uuid in UUIDS}
    assert meter_opened_s(journal) < trace.epoch_s + FAULT_S - 1.0, "the worker came too late"
    for device in healthy:
        assert components[device.uuid]["flags"] == []
        assert booked[device.uuid] == pytest.approx(true[device.uuid], rel=0.01)
        assert components[device.uuid]["it_energy_kwh"]["source"] == "counter"

    assert "counter_reset" in components[reset.uuid]["flags"]
    assert booked[reset.uuid] == pytest.approx(true[reset.uuid], rel=0.01)
    assert "counter_frozen" in components[frozen.uuid]["flags"]
    assert booked[frozen.uuid] == pytest.approx(true[frozen.uuid], rel=0.01)

    # What a lost device used is not known: it is not made up, and the time says so.
    away = components[lost.uuid]
    assert "lost" in away["flags"]
    covered_s = away["coverage_ratio"]["value"] * duration_s
    assert duration_s - 6.0 < covered_s < duration_s - 2.5  # it is looked for after 1 s, after 3 s
    assert booked[lost.uuid] == pytest.approx(lost.base_w * covered_s, rel=0.01)
    assert {"counter_reset", "counter_frozen", "lost"} <= set(tag["flags"])
    assert tag["coverage_ratio"]["value"] < 0.999


@pytest.mark.parametrize(
    ("pool", "options", "visible", "expected"),
    [
        ("by-index", ("--gpus", "0,1"), None, UUIDS[:2]),
        ("by-uuid", ("--gpus", "all"), f"{UUIDS[6]},{UUIDS[4]}", [UUIDS[6], UUIDS[4]]),
    ],
)
def test_a_worker_takes_only_the_configured_devices(
    node: GpuNode, pool: str, options: tuple[str, ...], visible: str | None, expected: list[str]
) -> None:
    node.start_worker(*options, "--cpu-slots", "0", pool=pool, visible=visible)
    names = [f"{pool}-{number}" for number in range(3)]
    ids = [node.submit(name, gpus=1, seconds=0.5, pool=pool) for name in names]
    waiting = node.submit(f"{pool}-three", gpus=3, seconds=0.1, pool=pool)
    used = {devices_of(node.lab.wait_for_end(run_id))[0] for run_id in ids}
    assert used == set(expected)
    both = node.submit(f"{pool}-both", gpus=2, seconds=0.1, pool=pool)
    assert devices_of(node.lab.wait_for_end(both)) == expected
    assert node.lab.run(waiting)["status"] == "queued"
    nodes = node.lab.http.get("/v1/nodes").json()["items"]
    [mine] = [item for item in nodes if item["pool"] == pool]
    assert [device["uuid"] for device in mine["devices"]] == expected


def test_training_without_cuda_fails_and_says_so(node: GpuNode) -> None:
    """A driver that meters but cannot compute: neither a silent CPU run nor a traceback."""
    (node.lab.inputs / "data.tsv").write_text("sentence\tlabel\nyes\t1\nno\t0\n")
    recipe = {
        "task": "classification",
        "data": {"train": "data.tsv"},
        "model": {"config": {"hidden_size": 16, "num_hidden_layers": 1}},
        "stages": [{"kind": "train", "max_steps": 1, "evaluate": False}],
    }
    for gpus in (1, 2):  # in one process, and by torchrun in two
        run_id = node.lab.submit(recipe=recipe, resources={"gpus": gpus, "pool": "gpus"})
        run = node.lab.wait_for_end(run_id)
        assert run["status"] == "failed"
        assert run["status_reason"]["code"] == "no-accelerator"
        assert run["status_reason"]["field"] == "resources.gpus"
        assert len(run["attempts"]) == 1
        check_energy(node, run_id, *devices_of(run))
