"""What a job's meters report for devices that it shares, on a replayed NVML."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pricetag.attempt import meters as module
from pricetag.attempt.meters import Devices, JobMeters, describe
from pricetag.metering import Component, Reading
from pricetag.metering.baselines import Baseline
from pricetag.metering.meter import Meter
from pricetag.metering.mig import slices_of
from pricetag.metering.nvml_devices import Device, Slice
from pricetag.metering.states import host_state
from tests.support.fake_nvml import FakeDevice, FakeTrace, gpu_uuid
from tests.support.meters import Clock, advance
from tests.support.nvml_replay import replayed
from tests.support.nvml_shared import MigPart, SharedNvml

WHOLE, DIVIDED = gpu_uuid(1), gpu_uuid(2)
THREE = MigPart("MIG-3", "3g.20gb", instance=2, slices=3, use=0.5)
TWO = MigPart("MIG-2", "2g.10gb", instance=3, slices=2, use=1.0)
ONE = MigPart("MIG-1", "1g.5gb", instance=9, slices=1)


@pytest.fixture
def clock() -> Clock:
    return Clock(0.0)


@pytest.fixture
def library(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> SharedNvml:
    monkeypatch.setenv("PRICETAG_METER_HOST", "none")
    devices = [
        FakeDevice(WHOLE, base_w=300.0, name="NVIDIA A100"),
        FakeDevice(DIVIDED, base_w=280.0, name="NVIDIA A100"),
    ]
    replay = SharedNvml(FakeTrace(devices, epoch_s=0.0), clock)
    replay.divide(DIVIDED, [THREE, TWO, ONE])
    return replay


def metered(
    devices: Devices, clock: Clock, seconds: float = 10.0
) -> tuple[list[Component], list[Reading]]:
    """Components and readings of an attempt of some seconds."""
    records: list[Reading] = []
    meters = JobMeters(devices)

    def emit(readings: list[Reading]) -> None:
        meters.note(readings)
        records.extend(readings)

    meter = Meter(meters.sources, emit, clock=clock)
    components = meters.share(meter.open(thread=False), meter.now_s())
    advance(meter, clock, seconds)
    meter.close()
    meters.close()
    return components, records


def slices(*uuids: str) -> tuple[Slice, ...]:
    by_uuid = {piece.uuid: piece for piece in slices_of(DIVIDED)}
    return tuple(by_uuid[uuid] for uuid in uuids)


def test_a_slice_is_a_part_of_its_parent(library: SharedNvml, clock: Clock) -> None:
    with replayed(library):
        devices = Devices(("MIG-3",), slices=slices("MIG-3"))
        [component], records = metered(devices, clock)
    assert component.id == f"gpu:{DIVIDED}"
    assert component.name == "NVIDIA A100 (MIG 3g.20gb)"
    assert component.reserved_ratio == pytest.approx(3 / 7)
    assert component.method == "counter"
    first, last = records[0], records[-1]
    assert (last.counter_j or 0.0) - (first.counter_j or 0.0) == pytest.approx(2800.0)  # the card's
    assert (first.own_busy_s, first.all_busy_s) == (0.0, 0.0)
    assert last.own_busy_s == pytest.approx(10 * 0.5 * 3 / 7)
    assert last.all_busy_s == pytest.approx(10 * (0.5 * 3 / 7 + 2 / 7))
    assert (library.users, library.samples) == (0, 0)


def test_two_slices_of_one_parent_are_one_component(library: SharedNvml, clock: Clock) -> None:
    with replayed(library):
        held = Devices(("MIG-3", WHOLE, "MIG-1"), slices=slices("MIG-3", "MIG-1"))
        divided, whole = metered(held, clock)[0]
    assert divided.name == "NVIDIA A100 (MIG 3g.20gb + 1g.5gb)"
    assert divided.reserved_ratio == pytest.approx(4 / 7)
    assert (whole.id, whole.reserved_ratio) == (f"gpu:{WHOLE}", 1.0)
    assert held.component_ids() == [f"gpu:{DIVIDED}", f"gpu:{WHOLE}"]


def test_slices_without_gpm_report_no_activity(library: SharedNvml, clock: Clock) -> None:
    library.gpm = False
    with replayed(library):
        [component], records = metered(Devices(("MIG-2",), slices=slices("MIG-2")), clock)
    assert component.reserved_ratio == pytest.approx(2 / 7)
    assert component.notes is not None
    assert "does not report the use of its slices" in component.notes
    assert all(record.all_busy_s is None for record in records)


def test_a_part_of_an_instance_reports_no_activity(library: SharedNvml, clock: Clock) -> None:
    half = MigPart("MIG-a", "1c.3g.20gb", instance=2, slices=3, compute=1)
    rest = MigPart("MIG-b", "2c.3g.20gb", instance=2, slices=3, compute=2)
    library.divide(DIVIDED, [half, rest])
    with replayed(library):
        [component], records = metered(Devices(("MIG-a",), slices=slices("MIG-a")), clock)
    assert component.reserved_ratio == pytest.approx(1 / 7)
    assert all(record.all_busy_s is None for record in records)


def test_a_whole_device_belongs_to_one_job(library: SharedNvml, clock: Clock) -> None:
    with replayed(library):
        [component], records = metered(Devices((WHOLE,)), clock)
    assert component.reserved_ratio == 1.0
    assert all(record.all_busy_s is None for record in records)


def test_a_device_of_several_jobs_is_divided_by_process(
    library: SharedNvml, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "is_host_namespace", lambda: True)
    monkeypatch.setattr("pricetag.metering.activity.HostActivity.pids", lambda *_: {101})
    library.sm_percent[WHOLE] = {101: 20, 900: 60}
    with replayed(library):
        [component], records = metered(Devices((WHOLE,), jobs_per_device=4), clock)
    assert component.reserved_ratio == 0.25
    assert records[-1].own_busy_s == pytest.approx(2.0)
    assert records[-1].all_busy_s == pytest.approx(8.0)
    assert library.users == 0


def test_in_a_container_processes_have_other_names(
    library: SharedNvml, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "is_host_namespace", lambda: False)
    library.sm_percent[WHOLE] = {101: 20}
    with replayed(library):
        [component], records = metered(Devices((WHOLE,), jobs_per_device=2), clock)
    assert component.reserved_ratio == 0.5
    assert component.notes is not None
    assert "not in this container" in component.notes
    assert all(record.all_busy_s is None for record in records)


def test_the_host_is_shared_by_cpu_time(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, power in (("package-0", 1), ("dram", 1)):
        zone = tmp_path / (f"intel-rapl:0{':0' if name == 'dram' else ''}")
        zone.mkdir()
        (zone / "name").write_text(name)
        (zone / "max_energy_range_uj").write_text("262143328850")
        (zone / "energy_uj").write_text(str(power))
    monkeypatch.setenv("PRICETAG_POWERCAP_ROOT", str(tmp_path))
    monkeypatch.setenv("PRICETAG_METER_HOST", "rapl")
    components, records = metered(Devices((), host_ratio=0.125), clock, 2.0)
    assert {component.id for component in components} == {
        "rapl:package-0",
        "rapl:package-0-dram",
    }
    assert all(component.reserved_ratio == 0.125 for component in components)
    assert all(record.own_busy_s == 0.0 for record in records)  # no process was adopted
    assert (records[-1].all_busy_s or 0.0) > 0.0

    # All of it reserved, and its idling unknown: it is a device of the job's own.
    components, records = metered(Devices((), host_ratio=1.0), clock, 2.0)
    assert all(component.reserved_ratio == 1.0 for component in components)
    assert all(record.all_busy_s is None for record in records)
    beside = Devices((), host_ratio=0.0, is_host_taken=True)  # the other is charged all of it
    components, records = metered(beside, clock, 2.0)
    assert all(component.reserved_ratio == 0.0 for component in components)
    assert all(record.all_busy_s is None for record in records)
    at = datetime(2026, 3, 1, tzinfo=UTC)
    idle = Baseline("rapl:package-0", host_state().settings, "", 80.0, None, 60.0, "counter", at)
    components, records = metered(Devices((), baselines=(idle,)), clock, 2.0)
    assert {r.component for r in records if r.own_busy_s is not None} == {"rapl:package-0"}
    assert {c.id: c.baseline_w for c in components} == {
        "rapl:package-0": 80.0,
        "rapl:package-0-dram": None,
    }


def test_the_idle_power_of_the_current_state_is_filled_in(
    library: SharedNvml, clock: Clock
) -> None:
    library.p_state = 8
    at = datetime(2026, 3, 1, tzinfo=UTC)
    settings = "driver 560.35.03, persistence on, MIG off"
    baseline = Baseline(f"gpu:{WHOLE}", settings, "P8", 62.0, 0.3, 60.0, "counter", at)
    with replayed(library):
        [component], _ = metered(Devices((WHOLE,), baselines=(baseline,)), clock)
        [other], _ = metered(Devices((WHOLE,)), clock)
    assert component.baseline_w == 62.0
    assert component.baseline_note == (
        f"measured 2026-03-01 00:00 UTC over 60 s (counter), {settings}, P8"
    )
    assert other.baseline_w is None
    assert other.baseline_note is not None
    assert other.baseline_note.startswith("no idle power is known")


def test_devices_are_described_by_uuid_and_name() -> None:
    assert describe([Device("MIG-3", 0, "NVIDIA A100 (MIG 3g.20gb)", None, None)]) == (
        {"uuid": "MIG-3", "name": "NVIDIA A100 (MIG 3g.20gb)"},
    )
