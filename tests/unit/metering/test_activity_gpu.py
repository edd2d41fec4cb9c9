"""A job's part of a shared GPU, as reported by a replayed NVML."""

from __future__ import annotations

from pathlib import Path

import pynvml
import pytest

from pricetag.metering.activity_gpu import (
    ProcessUse,
    SliceUse,
    has_slice_use,
    is_host_namespace,
)
from pricetag.metering.mig import resolve_usable, slices_of, usable_devices
from pricetag.metering.nvml_devices import list_devices
from pricetag.metering.states import component_state, gpu_state, host_state
from tests.support.fake_nvml import FakeDevice, FakeTrace, gpu_uuid
from tests.support.meters import Clock
from tests.support.nvml_replay import replayed
from tests.support.nvml_shared import MigPart, SharedNvml

WHOLE, DIVIDED = gpu_uuid(1), gpu_uuid(2)
THREE = MigPart("MIG-3", "3g.20gb", instance=2, slices=3, use=0.5)
TWO = MigPart("MIG-2", "2g.10gb", instance=3, slices=2, memory_mb=10240, use=1.0)
ONE = MigPart("MIG-1", "1g.5gb", instance=9, slices=1, memory_mb=5120, use=0.0)


@pytest.fixture
def clock() -> Clock:
    return Clock(0.0)


@pytest.fixture
def library(clock: Clock) -> SharedNvml:
    devices = [FakeDevice(WHOLE, name="NVIDIA A100"), FakeDevice(DIVIDED, name="NVIDIA A100")]
    replay = SharedNvml(FakeTrace(devices, epoch_s=0.0), clock)
    replay.divide(DIVIDED, [THREE, TWO, ONE])
    return replay


def test_a_divided_device_is_allocated_by_slices(library: SharedNvml) -> None:
    with replayed(library):
        whole, three, two, one = usable_devices(list_devices())
    assert (whole.uuid, whole.slice) == (WHOLE, None)
    assert (three.uuid, three.name) == ("MIG-3", "NVIDIA A100 (MIG 3g.20gb)")
    assert three.memory_bytes == 20480 << 20
    assert three.slice is not None
    assert (three.slice.parent, three.slice.instance) == (DIVIDED, 2)
    assert [device.slice.ratio for device in (three, two, one) if device.slice] == [
        pytest.approx(3 / 7),
        pytest.approx(2 / 7),
        pytest.approx(1 / 7),
    ]
    assert library.users == 0


def test_slices_are_named_by_themselves_or_by_their_device(library: SharedNvml) -> None:
    with replayed(library):
        usable = usable_devices(list_devices())
    assert [device.uuid for device in resolve_usable(["MIG-2", WHOLE], usable)] == ["MIG-2", WHOLE]
    all_of_it = [device.uuid for device in resolve_usable(["MIG-2", DIVIDED], usable)]
    assert all_of_it == ["MIG-2", "MIG-3", "MIG-1"]


def test_an_instance_of_several_parts_reserves_what_each_computes_on(library: SharedNvml) -> None:
    half = MigPart("MIG-a", "1c.3g.20gb", instance=2, slices=3, compute=1)
    rest = MigPart("MIG-b", "2c.3g.20gb", instance=2, slices=3, compute=2)
    lone = MigPart("MIG-c", "1c.2g.10gb", instance=3, slices=2, compute=1)
    library.divide(DIVIDED, [half, rest, lone])
    with replayed(library):
        pieces = slices_of(DIVIDED)
    assert [piece.slices for piece in pieces] == [1, 2, 2]
    assert [piece.is_whole_instance for piece in pieces] == [False, False, True]


def test_a_device_that_fails_hides_no_other(library: SharedNvml) -> None:
    library.refuses["nvmlDeviceGetAttributes_v2"] = pynvml.NVML_ERROR_NO_PERMISSION
    with replayed(library):
        assert [device.uuid for device in usable_devices(list_devices())] == [WHOLE]


def test_activity_of_slices_is_weighed_by_their_size(library: SharedNvml, clock: Clock) -> None:
    with replayed(library):
        pieces = slices_of(DIVIDED)
        assert has_slice_use(DIVIDED)
        activity = SliceUse(DIVIDED, [pieces[0]], pieces)
        assert activity.busy(0.0) == (0.0, 0.0)
        own_s, all_s = activity.busy(10.0)
        assert own_s == pytest.approx(10.0 * 0.5 * 3 / 7)
        assert all_s == pytest.approx(10.0 * (0.5 * 3 / 7 + 1.0 * 2 / 7))
        activity.close()
        assert activity.busy(11.0) == (None, None)
    assert (library.users, library.samples) == (0, 0)


def test_a_card_without_gpm_reports_no_activity(library: SharedNvml) -> None:
    library.gpm = False
    with replayed(library):
        pieces = slices_of(DIVIDED)
        assert not has_slice_use(DIVIDED)
        activity = SliceUse(DIVIDED, pieces[:1], pieces)
        assert activity.busy(0.0) == activity.busy(1.0) == (None, None)
    assert (library.users, library.samples) == (0, 0)


def test_processes_of_a_shared_device_are_read_by_pid(library: SharedNvml, clock: Clock) -> None:
    library.sm_percent[WHOLE] = {101: 30, 102: 10, 900: 40}
    with replayed(library):
        activity = ProcessUse(WHOLE, lambda now_s: {101, 102})
        activity.busy(0.0)
        assert activity.busy(10.0) == pytest.approx((4.0, 8.0))
        library.sm_percent[WHOLE] = {}  # nobody is active
        assert activity.busy(20.0) == pytest.approx((4.0, 8.0))
        library.sm_percent[WHOLE] = {900: 100}
        assert activity.busy(30.0) == pytest.approx((4.0, 18.0))
        activity.close()
    assert library.users == 0


def test_close_readings_repeat_the_previous_use_and_never_fall(library: SharedNvml) -> None:
    library.sm_percent[WHOLE] = {101: 100}
    with replayed(library):
        activity = ProcessUse(WHOLE, lambda now_s: {101})
        activity.busy(0.0)
        activity.busy(1.0)
        asked = library.calls["nvmlDeviceGetProcessUtilization"]
        assert activity.busy(1.2) == pytest.approx((1.2, 1.2))
        assert library.calls["nvmlDeviceGetProcessUtilization"] == asked
        library.sm_percent[WHOLE] = {101: 0}
        assert activity.busy(1.4) == pytest.approx((1.2, 1.2))  # 0.4 s at nothing since 1.0
        assert activity.busy(2.0) == pytest.approx((1.2, 1.2))


def test_a_figure_that_was_never_filled_in_counts_for_nothing(library: SharedNvml) -> None:
    library.sm_percent[WHOLE] = {101: 50, 102: 4_294_967_295}
    with replayed(library):
        activity = ProcessUse(WHOLE, lambda now_s: {101, 102})
        activity.busy(0.0)
        assert activity.busy(2.0) == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize(
    ("code", "after"),
    [(pynvml.NVML_ERROR_NOT_SUPPORTED, (None, None)), (pynvml.NVML_ERROR_TIMEOUT, (1.0, 1.0))],
)
def test_unsupported_activity_is_unknown_and_a_single_failure_is_not(
    library: SharedNvml, code: int, after: tuple[float | None, float | None]
) -> None:
    library.sm_percent[WHOLE] = {101: 100}
    with replayed(library):
        activity = ProcessUse(WHOLE, lambda now_s: {101})
        activity.busy(0.0)
        activity.busy(1.0)
        library.refuses["nvmlDeviceGetProcessUtilization"] = code
        assert activity.busy(2.0) == after
        library.refuses.clear()
        assert activity.busy(3.0) == ((None, None) if after[0] is None else (3.0, 3.0))


def test_states_contain_everything_that_idle_power_depends_on(
    library: SharedNvml, tmp_path: Path
) -> None:
    library.p_state = 8
    library.processes[WHOLE] = 2
    with replayed(library):
        state = component_state(f"gpu:{WHOLE}")
        assert str(state) == "driver 560.35.03, persistence on, MIG off, P8"
        assert (state.settings, state.level) == (str(state)[:-4], "P8")
        assert state.others == 2
        assert "MIG on" in str(gpu_state(DIVIDED))
        assert str(gpu_state("GPU-unknown")) == "state unknown"
        for silent in ("ComputeRunningProcesses_v3", "PerformanceState", "PersistenceMode"):
            library.refuses[f"nvmlDeviceGet{silent}"] = pynvml.NVML_ERROR_NOT_SUPPORTED
        library.refuses["nvmlSystemGetDriverVersion"] = pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
        assert str(gpu_state(WHOLE)) == "driver unknown, MIG off"
    (tmp_path / "governor").write_text("performance\n")
    assert str(host_state(tmp_path / "governor")) == "governor performance"
    assert str(host_state(tmp_path / "none")) == "governor unknown"


def test_pids_are_the_hosts_only_outside_containers(tmp_path: Path) -> None:
    inode_of_some_file = tmp_path / "file"
    inode_of_some_file.touch()
    assert not is_host_namespace(inode_of_some_file)
    assert not is_host_namespace(tmp_path / "missing")
