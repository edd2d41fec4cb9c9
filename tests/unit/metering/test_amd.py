"""AMD devices, with a replacement of ``amdsmi``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pricetag.accounting.readings.ledger import window_energy
from pricetag.metering import open_sources
from pricetag.metering.amd import AmdSource
from pricetag.metering.amd_devices import list_amd_devices, probe_amd
from pricetag.metering.amd_library import AmdUnavailableError, action_for
from pricetag.metering.devices import (
    device_environment,
    list_accelerators,
    visible_accelerators,
)
from pricetag.metering.doctor import _has_hardware
from pricetag.metering.meter import Meter
from pricetag.metering.nvml_errors import Action
from pricetag.metering.second_opinion import NvmlIndexError, _indices
from pricetag.metering.source import Reading
from tests.support.amdsmi_replay import DRIVER_NOT_LOADED, NO_PERM, AmdReplay, amd_replayed
from tests.support.fake_nvml import FakeDevice, FakeTrace, gpu_uuid
from tests.support.meters import Clock, advance, booked
from tests.support.nvml_replay import NvmlReplay, replayed

MI300, OTHER = "4cff74a1-0000-1000-80ba-000000000001", "4cff74a1-0000-1000-80ba-000000000002"


def device(uuid: str = MI300, **options: Any) -> FakeDevice:
    return FakeDevice(uuid, name="AMD Instinct MI300X", memory_mb=196608, **options)


@contextmanager
def metered(
    *devices: FakeDevice, uuids: list[str] | None = None
) -> Iterator[tuple[AmdSource, AmdReplay, Clock]]:
    clock = Clock(0.0)
    with amd_replayed(AmdReplay(devices, clock)) as module:
        source = AmdSource(uuids or [f"AMD-{own.uuid}" for own in devices])
        yield source, module, clock
        source.close()
        assert module.users == 0


def at(source: AmdSource, clock: Clock, now_s: float) -> Reading:
    clock.now_s = now_s
    source.sample(now_s)
    return source.read(now_s)[0]


@pytest.mark.parametrize("is_old", [False, True])
def test_a_device_reports_counter_power_and_cap(is_old: bool) -> None:
    with metered(device(base_w=450.0, counter_mj=7_000_000, limit_w=750.0)) as (source, module, c):
        module.is_old = is_old
        (component,) = source.components()
        assert component.id == f"gpu:AMD-{MI300}"
        assert (component.name, component.method) == ("AMD Instinct MI300X", "counter")
        assert (component.power_limit_w, component.gain_std_ratio) == (750.0, 0.10)
        assert component.update_s is None
        reading = at(source, c, 2.0)
        assert reading.counter_j == pytest.approx(7900.0, abs=0.001)
        assert (reading.power_w, reading.flags) == (450.0, ())


def test_a_run_is_booked_as_counted() -> None:
    own = device(power=((0.0, 90.0), (3.3, 700.0), (8.1, 240.0)))
    clock, records = Clock(0.0), list[Reading]()
    with amd_replayed(AmdReplay([own], clock)):
        meter = Meter(open_sources([f"AMD-{MI300}"], include_host=False), records.extend, clock)
        meter.open(thread=False)
        advance(meter, clock, 12.0)
        meter.close()
    window = window_energy(booked(records, f"gpu:AMD-{MI300}"), start_s=0.0, end_s=12.0)
    assert window.energy_j == pytest.approx(own.energy_j(0.0, 12.0), abs=0.01)
    assert set(window.energy_by_source_j) == {"counter"}


def test_devices_of_both_makers_are_metered_side_by_side() -> None:
    clock, records = Clock(0.0), list[Reading]()
    nvidia, amd = FakeDevice(gpu_uuid(1), base_w=200.0), device(base_w=500.0)
    library = NvmlReplay(FakeTrace([nvidia], epoch_s=0.0), clock)
    with replayed(library), amd_replayed(AmdReplay([amd], clock)):
        accelerators = list_accelerators()
        assert [(own.uuid, own.index) for own in accelerators] == [
            (gpu_uuid(1), 0),
            (f"AMD-{MI300}", 1),
        ]
        uuids = [own.uuid for own in accelerators]
        meter = Meter(open_sources(uuids, include_host=False), records.extend, clock)
        meter.open(thread=False)
        advance(meter, clock, 5.0)
        meter.close()
    for own, name in ((nvidia, gpu_uuid(1)), (amd, f"AMD-{MI300}")):
        window = window_energy(booked(records, f"gpu:{name}"), start_s=0.0, end_s=5.0)
        assert window.energy_j == pytest.approx(own.base_w * 5.0, rel=1e-3)


def test_a_device_without_accumulator_is_integrated() -> None:
    with metered(device(codes={"counter": 2})) as (source, module, clock):
        assert source.components()[0].method == "integrated"
        reading = at(source, clock, 1.0)
        assert (reading.counter_j, reading.flags) == (None, ("no_counter",))
        assert module.calls["amdsmi_get_energy_count"] == 1


def test_the_second_die_of_a_card_is_null_and_says_why() -> None:
    first, second = device(), device(OTHER)
    clock = Clock(0.0)
    with amd_replayed(AmdReplay([first, second], clock)) as module:
        module.second_dies = {OTHER}
        source = AmdSource([f"AMD-{MI300}", f"AMD-{OTHER}"])
        components = source.components()
        source.sample(1.0)
        readings = source.read(1.0)
        source.close()
    assert components[0].notes is None
    assert "dual-die" in (components[1].notes or "")
    assert readings[0].flags == ()
    assert (readings[1].counter_j, readings[1].power_w) == (None, None)
    assert readings[1].flags == ("no_counter", "no_power")


def test_a_permission_lost_during_a_run_degrades_the_reading_and_is_flagged() -> None:
    with metered(device()) as (source, module, clock):
        source.components()
        assert at(source, clock, 1.0).flags == ()
        module.refuses["amdsmi_get_energy_count"] = NO_PERM
        reading = at(source, clock, 2.0)
        assert (reading.counter_j, reading.power_w) == (None, 100.0)
        assert at(source, clock, 3.0).flags == ("no_counter", "no_permission")
        assert module.calls["amdsmi_get_energy_count"] == 3


def test_a_lost_device_is_silent_and_opened_again_with_backoff() -> None:
    with metered(device(losses=((2.0, 7.5),))) as (source, _, clock):
        source.components()
        assert at(source, clock, 1.0).flags == ()
        for now_s in (2.0, 3.1, 5.2):
            reading = at(source, clock, now_s)
            assert (reading.counter_j, reading.power_w) == (None, None)
            assert reading.flags == ("lost",)
        back = at(source, clock, 12.0)
        assert back.flags == ("reopened",)
        assert back.counter_j == pytest.approx(6200.0, abs=0.001)


def test_library_that_was_shut_down_is_initialized_again() -> None:
    with metered(device()) as (source, module, clock):
        source.components()
        module.users = 0
        assert at(source, clock, 1.0).flags == ("amdsmi_uninitialised",)
        assert at(source, clock, 1.1).counter_j == pytest.approx(5110.0, abs=0.001)


def test_an_error_of_the_moment_is_flagged_once() -> None:
    with metered(device()) as (source, module, clock):
        source.components()
        module.refuses["amdsmi_get_energy_count"] = 30
        assert at(source, clock, 1.0).flags == ("amdsmi_error_30",)
        module.refuses.clear()
        assert at(source, clock, 2.0).flags == ()


def test_two_meters_share_the_library_and_the_last_one_shuts_it_down() -> None:
    clock = Clock(0.0)
    with amd_replayed(AmdReplay([device()], clock)) as module:
        first, second = AmdSource([f"AMD-{MI300}"]), AmdSource([f"AMD-{MI300}"])
        first.components(), second.components()
        assert module.users == 1
        first.close()
        assert at(second, clock, 1.0).flags == ()
        second.close()
        assert module.users == 0


def test_without_a_driver_every_device_is_null_and_says_why() -> None:
    with metered(device()) as (source, module, clock):
        module.refuses["amdsmi_init"] = DRIVER_NOT_LOADED
        (component,) = source.components()
        assert component.notes == "could not be opened: the amdgpu driver is not loaded"
        assert at(source, clock, 0.5).flags == ("unavailable",)
        assert probe_amd()[1] is not None
        with pytest.raises(AmdUnavailableError, match="modprobe amdgpu"):
            list_amd_devices()
        module.refuses.clear()
        assert at(source, clock, 1.5).counter_j == pytest.approx(5150.0, abs=0.001)


def test_without_amdsmi_there_are_no_amd_devices() -> None:
    assert list_amd_devices() == []
    why = probe_amd()[1]
    assert why is not None
    assert "not installed" in why.reason


def test_a_device_without_a_uuid_is_named_by_its_position() -> None:
    with amd_replayed(AmdReplay([device("N/A"), device("00000000-0000")], Clock(0.0))):
        assert [own.uuid for own in list_amd_devices()] == ["AMD-0000:00:00.0", "AMD-0000:01:00.0"]


def test_devices_are_described() -> None:
    with amd_replayed(AmdReplay([device(limit_w=750.0)], Clock(0.0))) as module:
        (own,) = list_amd_devices()
        module.is_old = True
        (old,) = list_amd_devices()
    assert (own.memory_bytes, own.power_limit_w) == (196608 << 20, 750.0)
    assert (own.runtime_id, old.runtime_id, old.power_limit_w) == ("GPU-hip0001", "0", 750.0)


def test_a_job_is_shown_its_devices_and_no_others() -> None:
    with amd_replayed(AmdReplay([device(), device(OTHER)], Clock(0.0))):
        assert device_environment([f"AMD-{OTHER}"]) == {"ROCR_VISIBLE_DEVICES": "GPU-hip0002"}
        with pytest.raises(LookupError, match="AMD-gone"):
            device_environment(["AMD-gone"])
        with pytest.raises(ValueError, match="two vendors"):
            device_environment([f"AMD-{OTHER}", gpu_uuid(1)])
    nvidia = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": gpu_uuid(1)}
    assert device_environment([gpu_uuid(1)]) == nvidia
    assert device_environment([])["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, [f"AMD-{MI300}", f"AMD-{OTHER}"]),
        ({"ROCR_VISIBLE_DEVICES": "1"}, [f"AMD-{OTHER}"]),
        ({"HIP_VISIBLE_DEVICES": "GPU-hip0002,0"}, [f"AMD-{OTHER}", f"AMD-{MI300}"]),
        ({"ROCR_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": "1"}, []),
        ({"CUDA_VISIBLE_DEVICES": ""}, [f"AMD-{MI300}", f"AMD-{OTHER}"]),
    ],
)
def test_only_devices_visible_to_this_process_are_used(
    environ: dict[str, str], expected: list[str]
) -> None:
    with amd_replayed(AmdReplay([device(), device(OTHER)], Clock(0.0))):
        assert visible_accelerators(environ, list_amd_devices()) == expected


def test_codecarbon_counts_each_maker_s_devices_from_0() -> None:
    clock = Clock(0.0)
    library = NvmlReplay(FakeTrace([FakeDevice(gpu_uuid(1))], epoch_s=0.0), clock)
    with amd_replayed(AmdReplay([device(), device(OTHER)], clock)):
        assert _indices([f"AMD-{OTHER}"]) == [1]
        with replayed(library), pytest.raises(NvmlIndexError, match="for one another"):
            _indices([f"AMD-{OTHER}"])


def test_a_card_is_distinguished_from_a_chipset(tmp_path: Path) -> None:
    bus = tmp_path / "0000:00:00.0"
    bus.mkdir()
    (bus / "vendor").write_text("0x1002\n")
    (bus / "class").write_text("0x060400\n")
    assert not _has_hardware(tmp_path, "0x1002")
    (bus / "class").write_text("0x120000\n")
    assert _has_hardware(tmp_path, "0x1002")


@pytest.mark.parametrize(
    ("code", "action"),
    [(2, Action.NEXT_SOURCE), (10, Action.DEGRADE), (31, Action.LOST), (30, Action.TRY_AGAIN)],
)
def test_codes_have_actions(code: int, action: Action) -> None:
    assert action_for(code) is action
