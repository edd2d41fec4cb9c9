"""The NVML source on the real nvidia-ml-py, with a Python object instead of the library."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pynvml
import pytest

from pricetag.metering.nvml import NvmlSource
from pricetag.metering.nvml_errors import ACTIONS, Action, action_for
from pricetag.metering.source import Reading
from tests.support.fake_nvml import FakeDevice, FakeTrace, gpu_uuid
from tests.support.meters import Clock
from tests.support.nvml_replay import NvmlReplay, replayed
from tests.support.sensors import A100, H100, VOLTA, PowerTrace, Sensors, SimulatedDevice

UUID = gpu_uuid(1)


class _One:
    def __init__(self, device: SimulatedDevice) -> None:
        self.devices = [device]


@contextmanager
def metered(
    *devices: FakeDevice, uuids: list[str] | None = None
) -> Iterator[tuple[NvmlSource, NvmlReplay, Clock]]:
    clock = Clock(0.0)
    library = NvmlReplay(FakeTrace(devices, epoch_s=0.0), clock)
    with replayed(library):
        source = NvmlSource(uuids or [device.uuid for device in devices])
        yield source, library, clock
        source.close()
    assert library.users == 0


def at(source: NvmlSource, clock: Clock, now_s: float) -> Reading:
    clock.now_s = now_s
    source.sample(now_s)
    (reading,) = source.read(now_s)
    return reading


def test_a_device_reports_counter_power_and_limit() -> None:
    device = FakeDevice(UUID, base_w=250.0, counter_mj=7000, limit_w=400.0)
    with metered(device) as (source, _, clock):
        (component,) = source.components()
        assert component.id == f"gpu:{UUID}"
        assert (component.kind, component.method) == ("gpu", "counter")
        assert component.power_limit_w == 400.0
        assert component.gain_std_ratio == 0.05
        reading = at(source, clock, 2.0)
        assert reading == Reading(2.0, 507.0, None, 250.0, component=f"gpu:{UUID}")


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_NOT_SUPPORTED, 13, 25])
def test_power_falls_back_to_the_next_method_and_remembers_it(code: int) -> None:
    with metered(FakeDevice(UUID, base_w=120.0, codes={"field": code})) as (source, library, clock):
        source.components()
        asked = library.calls["nvmlDeviceGetFieldValues"]
        assert at(source, clock, 1.0).power_w == 120.0
        assert at(source, clock, 2.0).flags == ()
        assert library.calls["nvmlDeviceGetFieldValues"] == asked == 2  # 186, then 185, once each


def test_a_missing_function_is_as_good_as_an_unsupported_one() -> None:
    class Old(NvmlReplay):
        def __getattr__(self, name: str) -> Callable[..., int]:
            if name == "nvmlDeviceGetFieldValues":
                raise AttributeError(name)
            return super().__getattr__(name)

    clock = Clock(0.0)
    with replayed(Old(FakeTrace([FakeDevice(UUID, base_w=90.0)], epoch_s=0.0), clock)):
        source = NvmlSource([UUID])
        source.components()
        assert at(source, clock, 1.0).power_w == 90.0
        source.close()


def test_a_device_without_counter_is_integrated() -> None:
    with metered(FakeDevice(UUID, codes={"counter": 3})) as (source, library, clock):
        assert source.components()[0].method == "integrated"
        reading = at(source, clock, 1.0)
        assert reading.counter_j is None
        assert reading.power_w == 100.0
        assert reading.flags == ("no_counter",)
        assert library.calls["nvmlDeviceGetTotalEnergyConsumption"] == 1


def test_denial_degrades_and_is_flagged() -> None:
    with metered(FakeDevice(UUID, codes={"counter": 4})) as (source, _, clock):
        source.components()
        reading = at(source, clock, 1.0)
        assert reading.counter_j is None
        assert reading.power_w == 100.0
        assert reading.flags == ("no_counter", "no_permission")


def test_a_device_without_power_readings_keeps_its_counter() -> None:
    with metered(FakeDevice(UUID, codes={"field": 3, "usage": 3})) as (source, _, clock):
        source.components()
        reading = at(source, clock, 1.0)
        assert reading.counter_j == pytest.approx(5100.0)
        assert reading.power_w is None
        assert reading.flags == ("no_power",)


def test_a_lost_device_is_silent_and_opened_again_with_backoff() -> None:
    device = FakeDevice(UUID, losses=((2.0, 7.5),))
    with metered(device) as (source, library, clock):
        source.components()
        assert at(source, clock, 1.0).flags == ()
        lost = at(source, clock, 2.0)
        assert (lost.counter_j, lost.power_w, lost.flags) == (None, None, ("lost",))
        opened = library.calls["nvmlDeviceGetHandleByUUID"]
        for tenth in range(21, 75):
            assert at(source, clock, tenth / 10).flags == ("lost",)
        assert library.calls["nvmlDeviceGetHandleByUUID"] == opened + 2  # after 1 s and 2 s more
        assert at(source, clock, 8.9).flags == ("lost",)  # back already, and not asked yet
        back = at(source, clock, 9.1)
        assert back.flags == ("reopened",)
        assert back.counter_j == pytest.approx(5910.0)
        assert at(source, clock, 9.2).flags == ()


def test_a_device_lost_between_two_readings_is_still_reported() -> None:
    with metered(FakeDevice(UUID, losses=((1.05, 1.15),))) as (source, _, clock):
        source.components()
        at(source, clock, 1.0)
        for now_s in (1.1, 2.2):
            clock.now_s = now_s
            source.sample(now_s)
        assert source.read(2.2)[0].flags == ("lost", "reopened")


def test_a_lost_device_does_not_disturb_its_neighbor() -> None:
    lost, healthy = FakeDevice(UUID, losses=((1.0, 99.0),)), FakeDevice(gpu_uuid(2), base_w=300.0)
    with metered(lost, healthy) as (source, library, clock):
        source.components()
        for now_s in (1.0, 2.0, 3.0, 5.0, 9.0):
            clock.now_s = now_s
            assert source.sample(now_s) == [None, 300.0]
        assert library.calls["nvmlInitWithFlags"] == 1


def test_library_that_lost_its_initialization_is_initialized_again() -> None:
    with metered(FakeDevice(UUID)) as (source, library, clock):
        source.components()
        library.users = 0
        assert at(source, clock, 1.0).flags == ("nvml_uninitialised",)
        again = at(source, clock, 1.1)
        assert again.counter_j == pytest.approx(5110.0)
        assert library.users == 1


def test_an_error_of_the_moment_is_flagged_once() -> None:
    with metered(FakeDevice(UUID)) as (source, library, clock):
        source.components()
        library.refuses["nvmlDeviceGetTotalEnergyConsumption"] = pynvml.NVML_ERROR_TIMEOUT
        assert at(source, clock, 1.0).flags == ("nvml_error_10",)
        library.refuses.clear()
        assert at(source, clock, 2.0).flags == ()


def test_an_unknown_device_is_listed_and_null() -> None:
    with metered(FakeDevice(UUID), uuids=[gpu_uuid(9)]) as (source, _, clock):
        (component,) = source.components()
        assert component.id == f"gpu:{gpu_uuid(9)}"
        assert component.notes == "could not be opened: state: lost"
        assert at(source, clock, 0.5).counter_j is None


def test_a_mig_slice_is_listed_and_null() -> None:
    with metered(FakeDevice(UUID), uuids=["MIG-1"]) as (source, _, clock):
        assert "no counter" in (source.components()[0].notes or "")
        reading = at(source, clock, 1.0)
        assert (reading.counter_j, reading.flags) == (None, ("mig",))


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "the NVIDIA driver is not loaded"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "different versions"),
    ],
)
def test_without_nvml_every_device_is_null_and_says_why(code: int, why: str) -> None:
    with metered(FakeDevice(UUID)) as (source, library, clock):
        library.refuses["nvmlInitWithFlags"] = code
        (component,) = source.components()
        assert why in (component.notes or "")
        assert at(source, clock, 0.5).flags == ("unavailable",)
        library.refuses.clear()
        assert at(source, clock, 1.5).counter_j == pytest.approx(5150.0)


def test_grace_hopper_is_read_at_gpu_scope_with_a_note() -> None:
    device = FakeDevice(UUID, base_w=420.0, name="NVIDIA GH200 480GB", module_w=180.0)
    with metered(device) as (source, library, clock):
        assert "power of the GPU alone" in (source.components()[0].notes or "")
        assert at(source, clock, 1.0).power_w == 420.0
        assert {scope for _, scope in library.fields_asked} == {pynvml.NVML_POWER_SCOPE_GPU}


@pytest.mark.parametrize(
    ("sensors", "first"),
    [
        (VOLTA, pynvml.NVML_FI_DEV_POWER_INSTANT),
        (A100, pynvml.NVML_FI_DEV_POWER_INSTANT),
        (H100, pynvml.NVML_FI_DEV_POWER_AVERAGE),
    ],
)
def test_the_architecture_determines_which_power_covers_every_moment(
    sensors: Sensors, first: int
) -> None:
    """Bursts that an instant figure sees at their worst: 700 W whenever it looks."""
    device = SimulatedDevice(sensors, PowerTrace([(0.0, 100.0)]))
    bursts = [
        step
        for beat in range(60)
        for step in (
            (device.last_tick_s(1.0) % 0.1 + 0.1 * beat + 0.06, 700.0),
            (device.last_tick_s(1.0) % 0.1 + 0.1 * beat + 0.1, 100.0),
        )
    ]
    device.trace = PowerTrace([(0.0, 100.0), *bursts])
    clock = Clock(0.0)
    library = NvmlReplay(_One(device), clock)
    with replayed(library):
        source = NvmlSource([device.uuid])
        source.components()
        assert library.fields_asked[0][0] == first
        power_w = at(source, clock, 5.0).power_w
        source.close()
    assert power_w is not None
    if sensors is H100:
        assert power_w == pytest.approx(100.0 + 600.0 * 0.4, rel=0.02)
    if sensors is A100:
        assert power_w > 600.0


def test_a_permission_lost_during_a_run_degrades_the_reading_and_is_flagged() -> None:
    with metered(FakeDevice(UUID, base_w=90.0)) as (source, library, clock):
        source.components()
        assert at(source, clock, 1.0).flags == ()
        library.refuses["nvmlDeviceGetTotalEnergyConsumption"] = pynvml.NVML_ERROR_NO_PERMISSION
        reading = at(source, clock, 2.0)
        assert (reading.counter_j, reading.power_w) == (None, 90.0)
        assert reading.flags == ("no_counter", "no_permission")
        asked = library.calls["nvmlDeviceGetTotalEnergyConsumption"]
        at(source, clock, 3.0)
        assert library.calls["nvmlDeviceGetTotalEnergyConsumption"] == asked


def test_a_device_is_not_named_twice() -> None:
    with pytest.raises(ValueError, match="named twice"):
        NvmlSource([UUID, UUID])


def test_every_code_of_the_binding_has_an_action() -> None:
    codes = {
        value for name, value in vars(pynvml).items() if name.startswith("NVML_ERROR_") and value
    }
    assert {action_for(code) for code in codes} == set(Action)
    assert set(ACTIONS) <= codes
