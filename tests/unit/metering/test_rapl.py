from __future__ import annotations

from pathlib import Path

import pytest

from pricetag.metering.rapl import RaplSource, powercap_root, scan
from pricetag.metering.rapl_zones import OPEN_COMMAND
from pricetag.metering.source import Reading

RANGE_UJ = 262_143_328_850

INTEL = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) 8480\n\n"
AMD = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 9654\n\n"


def zone(root: Path, folder: str, name: str, energy_uj: int, range_uj: int = RANGE_UJ) -> Path:
    path = root / folder
    path.mkdir(parents=True)
    (path / "name").write_text(f"{name}\n")
    (path / "max_energy_range_uj").write_text(f"{range_uj}\n")
    (path / "energy_uj").write_text(f"{energy_uj}\n")
    return path


def server(root: Path) -> dict[str, Path]:
    """Two sockets with memory, cores, uncore, psys, and the first socket again by MMIO."""
    (root / "intel-rapl").mkdir()
    return {
        "p0": zone(root, "intel-rapl:0", "package-0", 10_000_000),
        "p0core": zone(root, "intel-rapl:0:0", "core", 4_000_000),
        "p0dram": zone(root, "intel-rapl:0:1", "dram", 70_000_000),
        "p1": zone(root, "intel-rapl:1", "package-1", 20_000_000),
        "p1uncore": zone(root, "intel-rapl:1:0", "uncore", 1_000_000),
        "p1dram": zone(root, "intel-rapl:1:1", "dram", 80_000_000),
        "psys": zone(root, "intel-rapl:2", "psys", 99_000_000),
        "mmio": zone(root, "intel-rapl-mmio:0", "package-0", 10_000_000),
    }


def source(root: Path, cpuinfo_text: str = INTEL) -> RaplSource:
    cpuinfo = root / "cpuinfo"
    cpuinfo.write_text(cpuinfo_text)
    zones = scan(root)
    return RaplSource(zones.packages, zones.dram, cpuinfo)


def put(path: Path, energy_uj: int) -> None:
    (path / "energy_uj").write_text(f"{energy_uj}\n")


def test_everything_is_counted_once(tmp_path: Path) -> None:
    server(tmp_path)
    zones = scan(tmp_path)
    assert [z.id for z in zones.packages] == ["package-0", "package-1"]
    assert [z.id for z in zones.dram] == ["package-0-dram", "package-1-dram"]
    assert (zones.reason, zones.dram_reason, zones.command) == (None, None, None)


def test_nested_zones_are_listed_once(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    zone(tmp_path / "intel-rapl:0", "intel-rapl:0:0", "dram", 2_000_000)
    zone(tmp_path, "intel-rapl:0:0", "dram", 2_000_000)
    zones = scan(tmp_path)
    assert [z.id for z in zones.packages] == ["package-0"]
    assert [z.id for z in zones.dram] == ["package-0-dram"]


def test_a_mirrored_die_is_not_counted(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0-die-0", 5_000_000_000)
    zone(tmp_path, "intel-rapl:1", "package-0-die-1", 5_000_000_400)
    zone(tmp_path, "intel-rapl:2", "package-1-die-0", 7_000_000_000)
    assert [z.id for z in scan(tmp_path).packages] == ["package-0-die-0", "package-1-die-0"]


def test_mmio_is_used_where_there_is_no_msr_zone(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 1_000_000)
    assert [z.folder.name for z in scan(tmp_path).packages] == ["intel-rapl-mmio:0"]


def test_psys_alone_is_the_host(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "psys", 1_000_000)
    (component,) = source(tmp_path).components()
    assert (component.id, component.kind) == ("rapl:psys", "host")


def test_a_platform_zone_is_not_part_of_a_package(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "psys", 5_000_000)
    zone(tmp_path, "intel-rapl:1", "psys-1", 9_000_000)
    assert [z.id for z in scan(tmp_path).packages] == ["psys", "psys-1"]
    zone(tmp_path, "intel-rapl:2", "package-0", 3_000_000)
    assert [z.id for z in scan(tmp_path).packages] == ["package-0"]


def test_a_counter_that_never_started_is_not_used(tmp_path: Path) -> None:
    """Some virtual machines show the zones, and 0 forever."""
    path = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    zones = scan(tmp_path)
    assert zones.packages == ()
    assert zones.reason == f"the counter {path / 'energy_uj'} is at 0: it does not count"
    assert zones.command is None


def test_a_machine_without_rapl_says_so(tmp_path: Path) -> None:
    zones = scan(tmp_path / "nowhere")
    assert zones.packages == ()
    assert "no RAPL zones" in (zones.reason or "")
    assert zones.command == "sudo modprobe intel_rapl_msr"


def test_denied_zones_are_named_with_the_command_that_opens_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zones = server(tmp_path)
    denied = zones["p1"] / "energy_uj"
    read_text = Path.read_text

    def refuse(path: Path, *args: str | None) -> str:
        if path == denied:
            raise PermissionError(13, "denied", str(path))
        return read_text(path, *args)

    monkeypatch.setattr(Path, "read_text", refuse)
    scanned = scan(tmp_path)
    # One readable socket of two would be half of the energy, and look like all of it.
    assert scanned.packages == ()
    assert scanned.reason == f"no permission to read {denied}"
    assert scanned.command == OPEN_COMMAND
    assert len(scanned.dram) == 2


def test_components_are_described(tmp_path: Path) -> None:
    server(tmp_path)
    components = {component.id: component for component in source(tmp_path).components()}
    package, dram = components["rapl:package-0"], components["rapl:package-1-dram"]
    assert (package.kind, package.method, package.gain_std_ratio) == ("cpu", "counter", 0.05)
    assert package.name == "Intel(R) Xeon(R) 8480"
    assert (dram.kind, dram.gain_std_ratio) == ("ram", 0.15)


def test_amd_has_a_larger_error(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 1)
    (component,) = source(tmp_path, AMD).components()
    assert (component.name, component.gain_std_ratio) == ("AMD EPYC 9654", 0.10)


def reading(source: RaplSource, now_s: float) -> Reading:
    (only,) = source.read(now_s)
    return only


def test_the_counter_is_unwrapped(tmp_path: Path) -> None:
    path = zone(tmp_path, "intel-rapl:0", "package-0", RANGE_UJ - 50_000_000)
    rapl = source(tmp_path)
    first = reading(rapl, 0.0)
    put(path, 50_000_000)
    second = reading(rapl, 1.0)
    put(path, 250_000_000)
    third = reading(rapl, 2.0)
    assert first.counter_j is not None
    assert second.counter_j == pytest.approx(first.counter_j + 100.0)
    assert third.counter_j == pytest.approx(first.counter_j + 300.0)
    assert second.power_w == pytest.approx(100.0)
    assert third.power_w == pytest.approx(200.0)
    assert second.flags == third.flags == ()
    assert second.integrated_j is None


def test_close_readings_do_not_turn_noise_into_power(tmp_path: Path) -> None:
    path = zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    rapl = source(tmp_path)
    assert reading(rapl, 0.0).power_w is None
    put(path, 101_000_000)
    assert reading(rapl, 1.0).power_w == pytest.approx(100.0)
    put(path, 102_000_000)
    close = reading(rapl, 1.002)
    assert (close.counter_j, close.power_w) == (102.0, 100.0)
    put(path, 202_000_000)
    assert reading(rapl, 2.0).power_w == pytest.approx(101.0)


def test_many_wraps_add_up(tmp_path: Path) -> None:
    path = zone(tmp_path, "intel-rapl:0", "package-0", 5, range_uj=65_532_610_987)
    rapl = source(tmp_path)
    true_uj = 5
    reading(rapl, 0.0)
    for minute in range(1, 61):
        true_uj += 60 * 280 * 1_000_000
        put(path, true_uj % 65_532_610_987)
        last = reading(rapl, 60.0 * minute)
    assert last.counter_j == pytest.approx(280.0 * 3600.0)


def test_a_fall_that_no_wrap_explains_is_a_reset(tmp_path: Path) -> None:
    path = zone(tmp_path, "intel-rapl:0", "package-0", 90_000_000_000)
    rapl = source(tmp_path)
    reading(rapl, 0.0)
    put(path, 5_000_000)
    after = reading(rapl, 1.0)
    assert after.flags == ("reset",)
    assert after.counter_j == pytest.approx(5.0)
    put(path, 105_000_000)
    assert reading(rapl, 2.0).counter_j == pytest.approx(105.0)


def test_a_stall_longer_than_a_wrap_may_take_is_flagged(tmp_path: Path) -> None:
    path = zone(tmp_path, "intel-rapl:0", "package-0", 1)
    rapl = source(tmp_path)
    reading(rapl, 0.0)
    put(path, 1_000_000)
    assert reading(rapl, 3600.0).flags == ("wrap_ambiguous",)


def test_a_zone_that_vanishes_is_silent(tmp_path: Path) -> None:
    path = zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    rapl = source(tmp_path)
    reading(rapl, 0.0)
    (path / "energy_uj").unlink()
    gone = reading(rapl, 1.0)
    assert (gone.counter_j, gone.flags) == (None, ("unreadable",))
    put(path, 3_000_000)
    assert reading(rapl, 2.0).counter_j == pytest.approx(3.0)


def test_a_variable_moves_the_root() -> None:
    assert powercap_root({"PRICETAG_POWERCAP_ROOT": "/somewhere"}) == Path("/somewhere")
    assert powercap_root({}) == Path("/sys/class/powercap")
