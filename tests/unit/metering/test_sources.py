"""Which meters an attempt gets, and what the doctor reports about them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pricetag.metering import MeterSettingError, codecarbon_parts, doctor, open_sources
from pricetag.metering.codecarbon_parts import CpuModel
from pricetag.metering.doctor import DoctorReport, MeterStatus, examine
from pricetag.metering.host_model import HostModelSource
from pricetag.metering.nvml import NvmlSource
from pricetag.metering.rapl import RaplSource
from pricetag.metering.source import UnavailableSource
from tests.support.fake_nvml import FakeDevice, FakeTrace, gpu_uuid
from tests.support.nvml_replay import NvmlReplay, replayed
from tests.unit.metering.test_rapl import server, zone


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A known CPU and an NVIDIA card; the folder of its PCI bus."""
    bus = tmp_path_factory.mktemp("pci")
    (bus / "0000:01:00.0").mkdir()
    (bus / "0000:01:00.0" / "vendor").write_text("0x10de\n")
    monkeypatch.setattr(doctor, "PCI_DEVICES", bus)
    monkeypatch.setattr(doctor, "CPUINFO", bus / "cpuinfo")
    (bus / "cpuinfo").write_text("vendor_id\t: GenuineIntel\nflags\t: fpu msr\n")
    monkeypatch.setattr(codecarbon_parts, "is_installed", lambda: True)
    monkeypatch.setattr(codecarbon_parts, "cpu_model", lambda: CpuModel("Test CPU", 100.0, True))
    return bus


def environ(root: Path, choice: str | None = None) -> dict[str, str]:
    setting = {} if choice is None else {"PRICETAG_METER_HOST": choice}
    return {"PRICETAG_POWERCAP_ROOT": str(root), **setting}


def kinds(*arguments: object, **options: object) -> list[type]:
    return [type(source) for source in open_sources(*arguments, **options)]  # type: ignore[arg-type]


def test_rapl_is_sufficient_if_it_includes_the_memory(tmp_path: Path) -> None:
    server(tmp_path)
    assert kinds([], environ=environ(tmp_path)) == [RaplSource]


def test_memory_is_modelled_where_there_is_no_dram_zone(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    rapl, model = open_sources([], environ=environ(tmp_path, "auto"))
    assert [component.id for component in rapl.components()] == ["rapl:package-0"]
    assert [component.id for component in model.components()] == ["ram"]


@pytest.mark.parametrize("choice", ["auto", "rapl"])
def test_memory_is_not_modelled_beside_a_zone_that_holds_the_platform(
    tmp_path: Path, choice: str
) -> None:
    zone(tmp_path, "intel-rapl:0", "psys", 1_000_000)
    (rapl,) = open_sources([], environ=environ(tmp_path, choice))
    assert [component.id for component in rapl.components()] == ["rapl:psys"]


def test_the_host_is_modelled_where_there_is_no_rapl(tmp_path: Path) -> None:
    (model,) = open_sources([], environ=environ(tmp_path))
    assert isinstance(model, HostModelSource)
    assert [component.id for component in model.components()] == ["cpu", "ram"]


def test_the_model_can_be_chosen_over_rapl(tmp_path: Path) -> None:
    server(tmp_path)
    assert kinds([], environ=environ(tmp_path, "model")) == [HostModelSource]


def test_components_that_rapl_alone_cannot_measure_are_null_with_the_reason(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    rapl, missing = open_sources([], environ=environ(tmp_path, "rapl"))
    assert isinstance(missing, UnavailableSource)
    (component,) = missing.components()
    assert (component.id, component.notes) == ("ram", "RAPL: this machine has no DRAM zone")
    assert len(rapl.components()) == 1


def test_without_host_there_are_only_the_devices(tmp_path: Path) -> None:
    uuids = [gpu_uuid(1)]
    assert kinds(uuids, environ=environ(tmp_path, "none")) == [NvmlSource]
    assert kinds(uuids, include_host=False, environ=environ(tmp_path)) == [NvmlSource]
    assert kinds([], environ=environ(tmp_path, "none")) == []


def test_an_unknown_choice_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(MeterSettingError, match="PRICETAG_METER_HOST is 'guess'"):
        open_sources([], environ=environ(tmp_path, "guess"))


def statuses(report: DoctorReport) -> dict[str, MeterStatus]:
    return {meter.name: meter for meter in report.meters}


def test_the_doctor_shows_closed_meters_and_the_commands_that_open_them(tmp_path: Path) -> None:
    replay = NvmlReplay(FakeTrace([], epoch_s=0.0), lambda: 0.0)
    replay.refuses["nvmlInitWithFlags"] = 9
    with replayed(replay):
        report = examine(environ(tmp_path))
    meters = statuses(report)
    names = ["nvml", "amdsmi", "rapl-package", "rapl-dram", "host-model", "codecarbon"]
    assert list(meters) == names
    assert meters["nvml"] == MeterStatus(
        "nvml", False, "the NVIDIA driver is not loaded", "sudo modprobe nvidia"
    )
    assert meters["rapl-package"].command == "sudo modprobe intel_rapl_msr"
    assert meters["host-model"].available
    assert meters["codecarbon"].detail == "version 3.3.2, as second opinion"
    assert (report.devices, report.host_meter) == ((), "auto")
    assert report.host.cores >= 1


@pytest.mark.parametrize(
    ("cpuinfo", "why"),
    [
        ("vendor_id\t: GenuineIntel\nflags\t: fpu hypervisor msr\n", "a virtual machine"),
        ("CPU implementer\t: 0x41\n", "this CPU has none"),
    ],
)
def test_no_command_loads_a_driver_without_hardware_for_it(
    machine: Path, tmp_path: Path, cpuinfo: str, why: str
) -> None:
    (machine / "cpuinfo").write_text(cpuinfo)
    meters = statuses(examine(environ(tmp_path)))
    for name in ("rapl-package", "rapl-dram"):
        assert meters[name].command is None
        assert why in meters[name].detail


def test_no_command_opens_a_card_that_is_not_there(machine: Path, tmp_path: Path) -> None:
    (machine / "0000:01:00.0" / "vendor").write_text("0x1af4\n")
    replay = NvmlReplay(FakeTrace([], epoch_s=0.0), lambda: 0.0)
    replay.refuses["nvmlInitWithFlags"] = 12
    with replayed(replay):
        nvml = statuses(examine(environ(tmp_path)))["nvml"]
    assert nvml == MeterStatus("nvml", False, "this machine has no NVIDIA device on its PCI bus")


def test_the_doctor_lists_devices_and_zones(tmp_path: Path) -> None:
    server(tmp_path)
    trace = FakeTrace([FakeDevice(gpu_uuid(1), name="One")], epoch_s=0.0)
    with replayed(NvmlReplay(trace, lambda: 0.0)):
        report = examine({**environ(tmp_path), "CUDA_VISIBLE_DEVICES": "0"})
    meters = statuses(report)
    assert meters["nvml"] == MeterStatus("nvml", True, "1 device: One")
    assert meters["rapl-package"] == MeterStatus(
        "rapl-package", True, "zones: package-0, package-1"
    )
    assert meters["rapl-dram"].detail == "zones: package-0-dram, package-1-dram"
    as_dict = report.as_dict()
    assert as_dict["devices"][0]["uuid"] == gpu_uuid(1)
    assert as_dict["visible_devices"] == "0"


def test_no_command_opens_a_zone_that_the_machine_does_not_have(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    with replayed(NvmlReplay(FakeTrace([], epoch_s=0.0), lambda: 0.0)):
        meters = statuses(examine(environ(tmp_path)))
    assert (meters["rapl-dram"].available, meters["rapl-dram"].command) == (False, None)
    assert not meters["nvml"].available


def test_the_doctor_says_how_to_get_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codecarbon_parts, "is_installed", lambda: False)
    with replayed(NvmlReplay(FakeTrace([], epoch_s=0.0), lambda: 0.0)):
        meters = statuses(examine(environ(tmp_path)))
    assert (
        meters["host-model"].command
        == meters["codecarbon"].command
        == ("pip install 'pricetag[worker]'")
    )


def test_the_meters_load_no_heavy_module() -> None:
    import subprocess

    code = (
        "import sys, pricetag.metering.doctor, pricetag.metering.second_opinion\n"
        "print([m for m in ('torch', 'codecarbon', 'pandas', 'psutil') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
