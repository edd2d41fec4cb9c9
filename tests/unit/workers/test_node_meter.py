"""The node's own meter, on a clock set by the test."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pricetag.accounting.readings.reading import Method
from pricetag.metering.baselines import Baseline, choose
from pricetag.metering.source import Component, PowerSource, Reading
from pricetag.metering.states import State
from tests.support.meters import Clock
from tests.support.patience import until
from workers.node import meter as module
from workers.node.hours import Row
from workers.node.machine import HOST, Use
from workers.node.meter import NodeMeter

T0 = datetime(2026, 3, 1, 10, tzinfo=UTC).timestamp()
SETTLED = State("driver 1, persistence on", "P8")


class Fleet:
    """A GPU and a CPU, modelled by default, whose power is ``power_w``."""

    host_method: Method = "modelled"

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.power_w = {"gpu:a": 60.0, "cpu": 20.0}
        self.counter_j = {"gpu:a": 5000.0, "cpu": 0.0}
        self.is_lost = False

    def pass_time(self, seconds: float) -> None:
        self.clock.now_s += seconds
        for name, power_w in self.power_w.items():
            self.counter_j[name] += power_w * seconds

    def components(self) -> list[Component]:
        gpu = Component("gpu:a", "gpu", "Card", "counter", 0.05)
        return [gpu, Component("cpu", "cpu", "CPU", self.host_method, 0.45)]

    def sample(self, now_s: float) -> Sequence[float | None]:
        return [self.power_w["gpu:a"], None]

    def read(self, now_s: float) -> list[Reading]:
        gpu, cpu = self.counter_j["gpu:a"], self.counter_j["cpu"]
        return [
            Reading(now_s, gpu, None, self.power_w["gpu:a"], component="gpu:a"),
            Reading(now_s, None, cpu, 20.0, component="cpu"),
        ]

    def close(self) -> None:
        self.counter_j["cpu"] = 0.0


@dataclass
class Bench:
    """Node meters one after another on one machine."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    held: set[str] = field(default_factory=set)
    released_s: dict[str, float] = field(default_factory=dict)
    state: State = SETTLED
    cpu_ratio: float = 0.02
    is_away: bool = False
    rows: dict[tuple[str, datetime], Row] = field(default_factory=dict)
    baselines: list[Baseline] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fleet = Fleet(self.clock)
        self.cpu_s = 0.0

    def start(self) -> NodeMeter:
        sources: list[PowerSource] = [self.fleet]
        meter = NodeMeter(
            self.folder,
            use=lambda: Use(frozenset(self.held), self.released_s),
            ship_hours=self.take_hours,
            ship_baselines=self.take_baselines,
            sources=lambda: sources,
            wraps=dict,
            state_of=lambda component: self.state if component == "gpu:a" else State("governor x"),
            clock=self.clock,
            wall_clock=lambda: T0 + self.clock.now_s - 1000.0,
            machine_cpu_s=lambda: self.cpu_s,
        )
        meter.open(thread=False)
        return meter

    async def take_hours(self, rows: Sequence[Row]) -> None:
        if self.is_away:
            raise ConnectionError("the database is away")
        self.rows |= {(row.component, row.hour): row for row in rows}

    async def take_baselines(self, measured: Sequence[Baseline]) -> None:
        self.baselines += measured

    def live(self, meter: NodeMeter, seconds: int, *, tick_s: int = 10) -> None:
        for second in range(1, seconds + 1):
            self.fleet.pass_time(1.0)
            self.cpu_s += self.cpu_ratio * (os.cpu_count() or 1)
            meter.poll()
            if second % tick_s == 0:
                meter.tick()

    def total_j(self, component: str) -> float:
        return sum(row.energy_j for row in self.rows.values() if row.component == component)

    def flags(self, component: str) -> set[str]:
        rows = [row for row in self.rows.values() if row.component == component]
        return {flag for row in rows for flag in row.flags}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    (tmp_path / "workers").mkdir()
    return Bench(tmp_path)


async def test_all_energy_is_reported_by_hour(bench: Bench) -> None:
    bench.clock.now_s = 1000.0 + 3500.0  # near the end of an hour
    meter = bench.start()
    bench.live(meter, 200)
    meter.close()
    await meter.ship()
    assert bench.total_j("gpu:a") == pytest.approx(200 * 60.0)
    assert bench.total_j("cpu") == pytest.approx(200 * 20.0)
    first = bench.rows["gpu:a", datetime(2026, 3, 1, 10, tzinfo=UTC)]
    assert first.energy_j == pytest.approx(100 * 60.0)
    assert first.covered_s == pytest.approx(100.0)
    assert (first.flags, first.method) == ((), "counter")


async def test_a_killed_worker_loses_no_counted_energy(bench: Bench) -> None:
    killed = bench.start()
    bench.live(killed, 95)  # the last tick was at 90 s; the meter is not closed
    bench.fleet.pass_time(305.0)
    bench.fleet.close()  # what is modelled begins again
    meter = bench.start()
    bench.live(meter, 100)
    meter.close()
    await meter.ship()
    assert bench.total_j("gpu:a") == pytest.approx(500 * 60.0)
    assert "bridged" in bench.flags("gpu:a")
    # The model knows of no time in which nobody asked it: that is not made up.
    assert bench.total_j("cpu") == pytest.approx((90 + 100) * 20.0)
    covered_s = sum(row.covered_s for row in bench.rows.values() if row.component == "cpu")
    assert covered_s == pytest.approx(190.0)


async def test_a_worker_killed_before_anything_is_settled_loses_nothing(bench: Bench) -> None:
    killed = bench.start()
    bench.live(killed, 12)
    bench.fleet.pass_time(8.0)
    meter = bench.start()
    bench.live(meter, 10)
    meter.close()
    await meter.ship()
    assert bench.total_j("gpu:a") == pytest.approx(30 * 60.0)


async def test_a_counter_that_restarted_is_not_bridged(bench: Bench) -> None:
    meter = bench.start()
    bench.live(meter, 100)
    meter.close()
    bench.clock.now_s += 5.0
    bench.fleet.counter_j["gpu:a"] = 3.0
    meter = bench.start()
    bench.live(meter, 50)
    meter.close()
    await meter.ship()
    assert bench.total_j("gpu:a") == pytest.approx(150 * 60.0)
    assert "gap" in bench.flags("gpu:a")


async def test_totals_wait_while_the_database_is_unreachable(bench: Bench) -> None:
    bench.is_away = True
    meter = bench.start()
    bench.live(meter, 50)
    await meter.ship()
    bench.live(meter, 50)
    meter.close()
    await meter.ship()
    assert bench.rows == {}
    bench.is_away = False
    meter = bench.start()  # another worker, later
    await meter.ship()
    assert bench.total_j("gpu:a") == pytest.approx(100 * 60.0)
    meter.close()


async def test_a_damaged_state_file_does_not_stop_metering(bench: Bench) -> None:
    meter = bench.start()
    meter.close()
    [path] = (bench.folder / "workers").glob("*.node-meter.json")
    path.write_text('{"hours": ')
    meter = bench.start()
    bench.live(meter, 50)
    meter.close()
    await meter.ship()
    assert bench.total_j("gpu:a") == pytest.approx(50 * 60.0)
    assert json.loads(path.read_text())["hours"]


async def test_idle_power_is_measured_after_a_minute_without_jobs(bench: Bench) -> None:
    bench.fleet.host_method = "integrated"
    meter = bench.start()
    bench.held = {HOST, "gpu:a"}
    bench.fleet.power_w["gpu:a"] = 400.0
    bench.live(meter, 40)
    bench.held, bench.released_s = set(), {"gpu:a": bench.clock.now_s, HOST: bench.clock.now_s}
    bench.fleet.power_w["gpu:a"] = 60.0
    bench.live(meter, 60)
    assert meter.baselines.all() == []
    bench.live(meter, 20)
    gpu, cpu = sorted(meter.baselines.all(), key=lambda item: -item.power_w)
    assert (gpu.component, gpu.state) == ("gpu:a", "driver 1, persistence on, P8")
    assert gpu.power_w == pytest.approx(60.0)
    assert gpu.power_std_w == pytest.approx(0.0, abs=1e-9)
    assert gpu.source == "counter"
    assert gpu.duration_s == pytest.approx(60.0)
    assert (cpu.component, cpu.source, cpu.state) == ("cpu", "integrated", "governor x")
    assert cpu.power_w == pytest.approx(20.0)
    await meter.ship()
    assert {item.component for item in bench.baselines} == {"gpu:a", "cpu"}
    bench.live(meter, 600)
    await meter.ship()
    assert len(bench.baselines) == 2  # hourly is often enough
    bench.live(meter, 3100)
    assert len(meter.baselines.all()) == 2
    await meter.ship()
    assert len(bench.baselines) == 4
    meter.close()


async def test_a_model_states_its_own_power_at_no_load(bench: Bench) -> None:
    meter = bench.start()
    bench.live(meter, 200)
    assert [item.component for item in meter.baselines.all()] == ["gpu:a"]
    meter.close()


@pytest.mark.parametrize("what", ["a job", "a short job", "another process", "its state"])
async def test_a_component_in_use_is_not_measured(bench: Bench, what: str) -> None:
    bench.fleet.host_method = "integrated"
    meter = bench.start()
    for round_ in range(6):
        if what == "a job":
            bench.held = {"gpu:a"}
        elif what == "a short job":
            bench.released_s = {"gpu:a": bench.clock.now_s}  # came and went between two looks
        elif what == "another process":
            bench.state = State(SETTLED.settings, SETTLED.level, others=1)
        else:
            bench.state = State(SETTLED.settings, f"P{round_}")
        bench.live(meter, 50)
    assert [item.component for item in meter.baselines.all()] == ["cpu"]
    meter.close()


async def test_a_host_that_is_busy_with_something_else_is_not_measured(bench: Bench) -> None:
    bench.cpu_ratio = 0.3
    meter = bench.start()
    bench.live(meter, 200)
    assert [item.component for item in meter.baselines.all()] == ["gpu:a"]
    meter.close()


async def test_one_worker_of_a_machine_meters_and_another_takes_over(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TICK_S", 0.02)
    opened = []

    def note(meter: NodeMeter, name: str) -> None:
        monkeypatch.setattr(meter, "open", lambda: opened.append(name))

    first, second = bench.start(), bench.start()
    note(first, "first")
    note(second, "second")
    tasks = [asyncio.create_task(first.run())]
    await until(lambda: opened == ["first"])
    tasks.append(asyncio.create_task(second.run()))
    await asyncio.sleep(0.2)
    assert opened == ["first"]
    tasks[0].cancel()
    await asyncio.wait(tasks[:1])
    await until(lambda: opened == ["first", "second"])
    tasks[1].cancel()
    await asyncio.wait(tasks)


def test_the_newest_baseline_of_the_same_state_is_chosen() -> None:
    def measured(power_w: float, settings: str, level: str, hour: int) -> Baseline:
        at = datetime(2026, 3, 1, hour, tzinfo=UTC)
        return Baseline("gpu:a", settings, level, power_w, None, 60.0, "counter", at)

    baselines = [
        measured(50, "d1", "P8", 1),
        measured(52, "d1", "P8", 3),
        measured(70, "d1", "P0", 4),
    ]
    assert choose(baselines, "gpu:a", State("d1", "P8")) == (
        52,
        "measured 2026-03-01 03:00 UTC over 60 s (counter), d1, P8",
    )
    power_w, note = choose(baselines, "gpu:a", State("d1", "P2"))
    assert power_w == 70
    assert note.endswith("d1, P0; the device is at P2 now")
    power_w, note = choose(baselines, "gpu:a", State("d2", "P8"))
    assert power_w is None
    assert note == "no idle power is known in this state (d2, P8), only in: d1, P0; d1, P8"
    power_w, note = choose(baselines, "gpu:b", State("d1", "P8"))
    assert power_w is None
    assert note.startswith("no idle power is known: it is measured when no job was on")
