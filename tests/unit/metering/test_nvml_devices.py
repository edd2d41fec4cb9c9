from __future__ import annotations

import pynvml
import pytest

from pricetag.metering.nvml import Device, list_devices, resolve_visible
from pricetag.metering.nvml_errors import NvmlUnavailableError
from tests.support.fake_nvml import FakeDevice, FakeTrace, gpu_uuid
from tests.support.nvml_replay import NvmlReplay, replayed

MIG = ("MIG-aaaa0000-1111", "MIG-aabb0000-2222")
DEVICES = [
    Device("GPU-11aa", 0, "A", 1, 1.0),
    Device("GPU-11bb", 1, "A", 1, 1.0, MIG),
    Device("GPU-22cc", 2, "A", 1, 1.0),
]


def library(*devices: FakeDevice) -> NvmlReplay:
    return NvmlReplay(FakeTrace(devices, epoch_s=0.0), lambda: 0.0)


def test_devices_are_listed_with_their_slices() -> None:
    replay = library(FakeDevice(gpu_uuid(1), name="One", limit_w=350.0), FakeDevice(gpu_uuid(2)))
    replay.mig_slices[gpu_uuid(2)] = MIG
    with replayed(replay):
        first, second = list_devices()
    assert first == Device(gpu_uuid(1), 0, "One", 81920 << 20, 350.0, ())
    assert (second.index, second.mig) == (1, MIG)
    assert replay.users == 0


def test_a_dead_card_does_not_hide_its_neighbor() -> None:
    dead = FakeDevice(gpu_uuid(1), losses=((0.0, 9.0),))
    with replayed(library(dead, FakeDevice(gpu_uuid(2)))):
        assert [device.uuid for device in list_devices()] == [gpu_uuid(2)]


def test_a_machine_without_the_driver_has_no_devices() -> None:
    replay = library()
    replay.refuses["nvmlInitWithFlags"] = pynvml.NVML_ERROR_DRIVER_NOT_LOADED
    with replayed(replay):
        assert list_devices() == []


def test_an_unusable_driver_is_not_reported_as_a_machine_without_devices() -> None:
    replay = library()
    replay.refuses["nvmlInitWithFlags"] = pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH
    with replayed(replay), pytest.raises(NvmlUnavailableError, match="sudo reboot"):
        list_devices()


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ["GPU-11aa", "GPU-11bb", "GPU-22cc"]),
        ("", []),
        ("-1", []),
        ("0", ["GPU-11aa"]),
        ("2,0", ["GPU-22cc", "GPU-11aa"]),
        (" 2 , 1 ", ["GPU-22cc", "GPU-11bb"]),
        ("0,7,1", ["GPU-11aa"]),
        ("0,-1,1", ["GPU-11aa"]),
        ("1,1", ["GPU-11bb"]),
        ("GPU-22cc", ["GPU-22cc"]),
        ("GPU-2", ["GPU-22cc"]),
        ("GPU-22CC", ["GPU-22cc"]),
        ("GPU-11", []),
        ("GPU-11b,GPU-22cc", ["GPU-11bb", "GPU-22cc"]),
        ("GPU-22cc,GPU-99,GPU-11aa", ["GPU-22cc"]),
        ("MIG-aaaa", [MIG[0]]),
        ("MIG-aa", []),
        (f"{MIG[1]},0", [MIG[1], "GPU-11aa"]),
        ("none", []),
    ],
)
def test_cuda_visible_devices(visible: str | None, expected: list[str]) -> None:
    assert resolve_visible(visible, DEVICES) == expected
