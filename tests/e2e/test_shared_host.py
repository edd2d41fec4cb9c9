"""Two jobs on one machine share the host's energy by CPU time; the rest belongs to the node."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.support.fake_powercap import FakePowercap
from tests.support.service import Service, wait_until

pytestmark = pytest.mark.slow

J_PER_KWH = 3_600_000

# Keeps a core busy for a part of the time, until a moment that both jobs share. What a busy
# machine withheld is caught up with later.
BURNER = """
import sys, time, pathlib
end_s, ratio, note = float(sys.argv[1]), float(sys.argv[2]), pathlib.Path(sys.argv[3])
began_s, began_cpu_s = time.time(), time.thread_time()
while time.time() < end_s:
    if time.thread_time() - began_cpu_s >= ratio * (time.time() - began_s):
        time.sleep(0.05)
note.write_text(str(time.process_time()))
"""

SLEEPER = ["/bin/sh", "-c", "sleep 3"]


def command(argv: list[str]) -> dict[str, Any]:
    return {"stages": [{"kind": "command", "argv": argv}]}


def burner(lab: Service, folder: Path, name: str, ratio: float, end_s: float) -> UUID:
    script = folder / "burn.py"
    script.write_text(BURNER)
    argv = [sys.executable, str(script), str(end_s), str(ratio), str(folder / name)]
    return lab.submit(name=name, recipe=command(argv))


def node_state(lab: Service) -> dict[str, Any]:
    [path] = (lab.data_dir / "workers").glob("*.node-meter.json")
    return dict(json.loads(path.read_text()))


def metered(lab: Service) -> tuple[float, float, set[str]]:
    """What the node's meter has booked of the CPU: energy, time, flags."""
    rows = [row for row in node_state(lab)["hours"] if row[0] == "rapl:package-0"]
    flags = {flag for row in rows for flag in row[4]}
    return sum(row[2] for row in rows), sum(row[3] for row in rows), flags


def stop(lab: Service, process: Any) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(timeout=60)


def test_the_host_is_shared_by_cpu_time(
    lab: Service, powercap: FakePowercap, tmp_path: Path
) -> None:
    worker = lab.start_worker("--cpu-slots", "2")
    wait_until(lambda: "worker" in lab.log("worker"), "the worker's start")
    end_s = time.time() + 22.0
    small = burner(lab, tmp_path, "small", 0.1, end_s)
    large = burner(lab, tmp_path, "large", 0.6, end_s)
    for run_id in (small, large):
        assert lab.wait_for_end(run_id)["status"] == "succeeded"
    stop(lab, worker)

    tags = {name: lab.price_tag(run_id) for name, run_id in (("s", small), ("l", large))}
    charged_j = {name: tag["it_energy_kwh"]["value"] * J_PER_KWH for name, tag in tags.items()}
    cpu_s = {
        "s": float((tmp_path / "small").read_text()),
        "l": float((tmp_path / "large").read_text()),
    }
    # About six on a machine with nothing else to do. From this ratio on, equal shares fail below.
    assert cpu_s["l"] / cpu_s["s"] > 1.34
    active = {}
    for name, tag in tags.items():
        [attempt] = tag["attempts"]
        duration_s = attempt["duration_s"]["value"]
        gross_j = attempt["split"]["gross_kwh"]["value"] * J_PER_KWH
        assert gross_j == powercap.drew(duration_s)
        # Nobody knows its idle power: half goes by the place that was reserved, one of two.
        assert "idle_power_unknown" in tag["flags"]
        active[name] = 2 * charged_j[name] / gross_j - 0.5
        energy, low_j = tag["it_energy_kwh"], gross_j * min(active[name], 0.5)
        assert energy["low"] * J_PER_KWH <= low_j <= energy["high"] * J_PER_KWH
    # Each job's own start and end, and the worker's part in it, are beside the burning.
    assert active["l"] / active["s"] == pytest.approx(cpu_s["l"] / cpu_s["s"], rel=0.25)
    both_s = max(tag["attempts"][0]["duration_s"]["value"] for tag in tags.values())
    assert sum(charged_j.values()) < powercap.power_w * (both_s + 1.0)

    account = lab.http.get("/v1/energy", params={"by": "node"}).json()["total"]
    total_j = account["total_kwh"]["value"] * J_PER_KWH
    told_j = account["charged_kwh"]["value"] * J_PER_KWH
    rest_j = account["unallocated_kwh"]["value"] * J_PER_KWH
    assert told_j == pytest.approx(sum(charged_j.values()), rel=1e-6)
    assert total_j == pytest.approx(told_j + rest_j, rel=1e-9)
    assert rest_j > 0
    booked_j, covered_s, flags = metered(lab)
    assert flags == set()
    assert booked_j == pytest.approx(120.0 * covered_s, rel=0.01)
    assert covered_s > both_s
    assert total_j == powercap.drew(covered_s)


def test_the_node_of_a_killed_worker_is_metered_without_a_gap(
    lab: Service, powercap: FakePowercap, tmp_path: Path
) -> None:
    worker = lab.start_worker()
    wait_until(lambda: list((lab.data_dir / "workers").glob("*.node-meter.json")), "a tick")
    time.sleep(15.0)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    before = node_state(lab)
    first_s = before["marks"]["rapl:package-0"]["at_s"] - metered(lab)[1]
    time.sleep(5.0)
    second = lab.start_worker(log="worker-2")
    run_id = lab.submit(recipe=command(SLEEPER))
    assert lab.wait_for_end(run_id)["status"] == "succeeded"
    stop(lab, second)
    booked_j, covered_s, flags = metered(lab)
    assert flags == {"bridged"}
    last_s = node_state(lab)["marks"]["rapl:package-0"]["at_s"]
    assert covered_s == pytest.approx(last_s - first_s, rel=0.01)
    assert booked_j == pytest.approx(120.0 * (last_s - first_s), rel=0.01)
    # A sole worker of one place reserves the machine; while its idling is unknown, all of it.
    attempt = lab.price_tag(run_id)["attempts"][0]
    energy_j = attempt["it_energy_kwh"]["value"] * J_PER_KWH
    assert energy_j == powercap.drew(attempt["duration_s"]["value"])
