"""Power limits of devices: set for a job, and restored afterwards, whatever happens."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pynvml
import pytest
from pydantic import ValidationError

from pricetag.attempt.ending import every_record
from pricetag.attempt.meters import Devices
from pricetag.metering.journal import Journal
from pricetag.metering.nvml_limits import PowerLimitError
from pricetag.recipes.run_spec import Resources
from tests.support.fake_nvml import FakeDevice, FakeTrace, gpu_uuid
from tests.support.nvml_replay import NvmlReplay, replayed
from tests.support.supervised import Claimed
from workers.attempt.processes import FreshInterpreter
from workers.attempt.supervisor import Supervisor
from workers.node.identity import NodeConfig, worker_identity
from workers.node.power_limits import FOLDER, PowerLimits, restore_left

ONE, TWO = gpu_uuid(1), gpu_uuid(2)
SET = "nvmlDeviceSetPowerManagementLimit"


def dead_worker() -> str:
    """Identity of a worker of this machine that has ended."""
    name, machine, boot, pid, ticks = worker_identity("node").rsplit(":", 4)
    return ":".join([name, machine, boot, pid, str(int(ticks) - 1)])


@pytest.fixture
def library() -> Iterator[NvmlReplay]:
    devices = [FakeDevice(ONE, limit_w=400.0), FakeDevice(TWO, limit_w=400.0)]
    replay = NvmlReplay(FakeTrace(devices, epoch_s=0.0), lambda: 0.0)
    with replayed(replay):
        yield replay


def notes(folder: Path) -> list[Path]:
    return sorted((folder / FOLDER).glob("*.json"))


def test_a_limit_is_noted_before_it_is_set_and_restored(
    library: NvmlReplay, tmp_path: Path
) -> None:
    noted: list[int] = []
    handler = NvmlReplay._nvmlDeviceSetPowerManagementLimit

    class Watched(NvmlReplay):
        def _nvmlDeviceSetPowerManagementLimit(self, handle: Any, limit: Any) -> int:  # noqa: N802
            noted.append(len(notes(tmp_path)))
            return handler(self, handle, limit)

    watched = Watched(library.trace, library.now_s)
    with replayed(watched):
        limits = PowerLimits(tmp_path, worker_identity("node"))
        (one, two) = limits.set([ONE, TWO], 250.0)
        assert watched.limits_mw == {ONE: 250_000, TWO: 250_000}
        assert (one.restore_mw, two.limit_mw) == (400_000, 250_000)
        restore_left(tmp_path)  # this worker lives
        assert watched.limits_mw == {ONE: 250_000, TWO: 250_000}
        limits.restore([ONE, TWO])
    assert watched.limits_mw == {ONE: 400_000, TWO: 400_000}
    assert noted == [1, 2, 2, 1]
    assert notes(tmp_path) == []
    assert watched.users == 0


def test_after_the_death_of_a_worker_the_next_one_restores_the_limit(
    library: NvmlReplay, tmp_path: Path
) -> None:
    PowerLimits(tmp_path, dead_worker()).set([ONE, TWO], 250.0)
    # A job that begins before the round of restoring keeps the device's own limit in mind.
    limits = PowerLimits(tmp_path, worker_identity("node"))
    (note,) = limits.set([ONE], 200.0)
    assert note.restore_mw == 400_000
    restore_left(tmp_path)
    assert library.limits_mw == {ONE: 200_000, TWO: 400_000}
    limits.restore([ONE])
    assert library.limits_mw == {ONE: 400_000, TWO: 400_000}
    assert notes(tmp_path) == []


def test_what_cannot_be_restored_now_is_restored_by_a_later_round(
    library: NvmlReplay, tmp_path: Path
) -> None:
    limits = PowerLimits(tmp_path, worker_identity("node"))
    limits.set([ONE], 250.0)
    library.refuses[SET] = pynvml.NVML_ERROR_GPU_IS_LOST
    limits.restore([ONE])
    assert library.limits_mw == {ONE: 250_000}
    del library.refuses[SET]
    restore_left(tmp_path)
    assert library.limits_mw == {ONE: 400_000}
    assert notes(tmp_path) == []


def test_limits_that_cannot_be_set_are_reported_and_change_nothing(
    library: NvmlReplay, tmp_path: Path
) -> None:
    limits = PowerLimits(tmp_path, worker_identity("node"))
    with pytest.raises(PowerLimitError, match="allows 100 to 400 W"):
        limits.set([ONE], 99.0)
    with pytest.raises(PowerLimitError, match="whole NVIDIA devices"):
        limits.set([ONE, "MIG-aaaa"], 250.0)
    assert library.limits_mw == {ONE: 400_000}  # the first one was restored
    library.refuses[SET] = pynvml.NVML_ERROR_NO_PERMISSION
    with pytest.raises(PowerLimitError, match="run the worker as root"):
        limits.set([TWO], 250.0)
    library.refuses = {
        "nvmlDeviceGetPowerManagementLimitConstraints": pynvml.NVML_ERROR_NOT_SUPPORTED
    }
    with pytest.raises(PowerLimitError, match="no power limit that can be set"):
        limits.set([TWO], 250.0)
    assert notes(tmp_path) == []
    with pytest.raises(ValidationError, match="at least one accelerator"):
        Resources(power_limit_w=250.0)


def carried_out(folder: Path, claim: Claimed) -> list[dict[str, Any]]:
    """The records of a supervised run on the first device."""
    journal = Journal.create(folder / "journal", claim.attempt_id)
    config = NodeConfig(
        name="node",
        worker=worker_identity("node"),
        pool="default",
        data_dir=folder,
        artifacts_dir=folder / "artifacts",
        data_roots=(),
        allow_commands=True,
        allow_hub=False,
        git_commit=None,
        lease_s=900.0,
        heartbeat_timeout_s=60.0,
        stop_grace_s=1.0,
    )
    supervisor = Supervisor(claim, config, Devices((ONE,)), journal, FreshInterpreter())
    asyncio.run(asyncio.wait_for(supervisor.run(), 120))
    return list(every_record(journal))


def test_a_run_is_metered_under_its_limit_which_its_records_state(
    library: NvmlReplay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICETAG_METER_HOST", "none")
    recipe = {"stages": [{"kind": "command", "argv": [sys.executable, "-c", "pass"]}]}
    records = carried_out(tmp_path, Claimed(recipe, gpus=1, power_limit_w=250.0))
    (start,) = (record for record in records if record["type"] == "start")
    (component,) = start["components"]
    assert component["power_limit_w"] == 250.0
    assert component["notes"] == (
        "power limit 250 W, set for this run (400 W before and afterwards)"
    )
    assert (records[-1]["type"], records[-1]["status"]) == ("end", "succeeded")
    assert library.limits_mw == {ONE: 400_000}
    library.refuses[SET] = pynvml.NVML_ERROR_NO_PERMISSION
    records = carried_out(tmp_path, Claimed(recipe, gpus=1, power_limit_w=250.0))
    end = records[-1]
    assert (end["status"], end["reason"]["code"]) == ("failed", "power-limit")
    assert not any(record["type"] == "start" for record in records)  # it never ran
