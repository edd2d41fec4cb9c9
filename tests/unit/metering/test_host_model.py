from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import psutil
import pytest

from pricetag.metering import codecarbon_parts
from pricetag.metering.codecarbon_parts import CpuModel
from pricetag.metering.host_model import (
    ConstantModel,
    CpuLoadModel,
    HostModelSource,
    PowerModel,
    cpu_component,
    host_model,
    memory_part,
)
from pricetag.metering.memory_model import memory_component, memory_gib, memory_power_w
from pricetag.metering.source import Component, Reading

CPU = cpu_component(CpuModel("Test CPU", 100.0, True))


class Load:
    """A CPU whose power is set by the test."""

    def __init__(self, power_w: float | None) -> None:
        self.next_w = power_w

    def power_w(self) -> float | None:
        return self.next_w

    def restart(self) -> None:
        return


def source(model: PowerModel | None, component: Component = CPU) -> HostModelSource:
    made = HostModelSource(lambda: [(component, model)])
    made.components()
    return made


def read(source: HostModelSource, now_s: float) -> Reading:
    (reading,) = source.read(now_s)
    return reading


def test_each_interval_is_booked_at_its_own_power() -> None:
    load = Load(10.0)
    cpu = source(load)
    assert read(cpu, 0.0) == Reading(0.0, None, 0.0, None, component="cpu")
    assert read(cpu, 1.0).integrated_j == pytest.approx(10.0)
    load.next_w = 90.0
    third = read(cpu, 3.0)
    assert third.integrated_j == pytest.approx(10.0 + 180.0)
    assert third.power_w == 90.0


def test_an_interval_too_short_for_the_kernel_s_ticks_uses_the_previous_power() -> None:
    load = Load(40.0)
    cpu = source(load)
    read(cpu, 0.0)
    read(cpu, 1.0)
    load.next_w = 0.0
    assert read(cpu, 1.1).integrated_j == pytest.approx(44.0)


def test_edges_however_dense_overlook_no_load() -> None:
    load = Load(10.0)
    cpu = source(load)
    read(cpu, 0.0)
    read(cpu, 1.0)
    load.next_w = 100.0
    energies_j = [read(cpu, 1.0 + 0.1 * step).integrated_j for step in range(1, 101)]
    known_j = [energy_j for energy_j in energies_j if energy_j is not None]
    assert known_j == sorted(known_j)
    assert known_j[-1] == pytest.approx(10.0 + 100.0 * 10.0, rel=0.02)


def test_a_job_shorter_than_that_is_still_booked() -> None:
    cpu = source(Load(40.0))
    read(cpu, 0.0)
    assert read(cpu, 0.1).integrated_j == pytest.approx(4.0)


def test_a_moment_without_a_tick_is_not_a_failure() -> None:
    load = Load(None)
    cpu = source(load)
    read(cpu, 0.0)
    assert read(cpu, 0.01).integrated_j is None
    load.next_w = 10.0
    assert read(cpu, 1.0).integrated_j == pytest.approx(10.0)


def test_a_machine_that_counts_no_cpu_time_is_unknown_and_not_idle() -> None:
    load = Load(None)
    cpu = source(load)
    read(cpu, 0.0)
    assert read(cpu, 1.0).flags == ("unavailable",)
    load.next_w = 10.0
    assert read(cpu, 2.0).integrated_j is None


def test_a_component_without_a_model_is_null() -> None:
    assert read(source(None), 1.0).flags == ("unavailable",)


def test_memory_is_constant() -> None:
    ram = source(ConstantModel(20.0))
    read(ram, 0.0)
    assert read(ram, 30.0).integrated_j == pytest.approx(600.0)


def test_memory_notes_state_the_power_per_gb_and_the_model() -> None:
    component, model = memory_part()
    assert model is not None
    model.restart()
    power_w = model.power_w()
    assert power_w is not None
    assert component.notes is not None
    size_gb = psutil.virtual_memory().total / 1024**3
    said_w, per_gb_w = re.findall(r"([\d.]+) W", component.notes)[:2]
    assert float(said_w) == power_w
    assert float(per_gb_w) == pytest.approx(power_w / size_gb, rel=0.06)
    assert f"by the rule of CodeCarbon {version('codecarbon')}" in component.notes


@pytest.mark.parametrize("is_arm", [False, True])
def test_the_power_of_memory_is_that_of_codecarbon(is_arm: bool) -> None:
    ram = codecarbon_parts.load("codecarbon.external.ram").RAM()
    ram.is_arm_cpu = is_arm
    sizes_gib = [0.5, 2, 2.1, 4, 8, 15.6, 16, 17, 32, 33, 64, 65, 128, 129, 1023.9]
    sizes_gib += [each * 16 - 0.5 for each in range(9, 400)]
    for size_gib in sizes_gib:
        theirs_w = ram._calculate_ram_power(size_gib)
        assert memory_power_w(size_gib, is_arm=is_arm) == pytest.approx(theirs_w), size_gib


def test_the_size_of_memory_is_that_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:       16777216 kB\nMemFree: 1 kB\n")
    assert memory_gib(tmp_path) == 16.0
    assert memory_component(16.0, is_arm=False).baseline_w == 10.0
    assert memory_gib(tmp_path / "none") is None
    assert memory_component(None).baseline_w is None


def test_cpu_notes_state_how_well_the_model_is_known() -> None:
    unknown = cpu_component(CpuModel("Odd CPU", 8.0, False))
    assert (CPU.gain_std_ratio, CPU.power_limit_w, CPU.method) == (0.45, 100.0, "modelled")
    assert "4 W per thread" in (unknown.notes or "")
    assert "table" in (CPU.notes or "")


def test_without_codecarbon_the_cpu_is_null_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecarbon_parts, "is_installed", lambda: False)
    model = host_model(cpu=True, ram=True)
    cpu, ram = model.components()
    assert (cpu.id, ram.id) == ("cpu", "ram")
    assert "not installed" in (cpu.notes or "")
    assert [reading.flags for reading in model.read(1.0)] == [("unavailable",), ()]
    assert model.sample(1.0) == (None, None)


def test_idle_power_is_the_no_load_power_of_codecarbon_s_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = CpuLoadModel(CpuModel("Test CPU", 80.0, True))
    monkeypatch.setattr(model._cpu._cpu_load_meter, "percent", lambda: 0.0)
    model.restart()
    model._counted_s = -1.0  # some CPU time has passed, whatever the kernel's ticks
    at_no_load_w = model.power_w()
    assert cpu_component(CpuModel("Test CPU", 80.0, True)).baseline_w == at_no_load_w == 8.0
    source = host_model(cpu=False, ram=True)
    [ram] = source.components()
    source.read(0.0)
    assert source.read(10.0)[0].integrated_j == pytest.approx(10.0 * (ram.baseline_w or 0.0))


MACHINE = """
import psutil
from pricetag.metering import codecarbon_parts as parts
from pricetag.metering.host_model import host_model
cpu, ram = host_model(cpu=True, ram=True).components()
assert cpu.power_limit_w and ram.baseline_w, (cpu, ram)
parts.load("codecarbon")
assert parts.load("codecarbon.core.util").count_cpus() == psutil.cpu_count()
print(cpu.power_limit_w, ram.name, ram.baseline_w)
"""


@pytest.mark.parametrize("variable", ["SLURM_JOB_ID", "SLURM_JOBID"])
def test_inside_a_slurm_job_the_model_is_of_the_whole_machine(variable: str) -> None:
    """With and without a Slurm job the same, and no ``scontrol`` is needed."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    seen = [
        subprocess.run(
            [sys.executable, "-c", MACHINE], env=env, capture_output=True, text=True, check=True
        ).stdout
        for env in (plain, plain | {variable: "17", "PATH": "/nonexistent"})
    ]
    assert seen[0] == seen[1]
    assert seen[0].strip()
