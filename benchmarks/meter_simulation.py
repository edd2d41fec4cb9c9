"""One simulated GPU, metered by Pricetag and by CodeCarbon at once, on one clock."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pynvml

from pricetag.accounting.readings.ledger import EnergyLedger, Reading
from pricetag.metering import codecarbon_parts
from pricetag.metering.meter import Meter
from pricetag.metering.nvml import NvmlSource
from tests.support.meters import Clock, booked
from tests.support.nvml_replay import NvmlReplay, replayed
from tests.support.sensors import PowerTrace, Sensors, SimulatedDevice

WARM_UP_S = 3.0
SPREAD_S = 120.0
"""Windows begin at random within this time."""

MOST_STAGES = 25
"""Windows that must follow one another take their time: of each length no more than that."""

SAMPLE_PERIOD_S = 0.1
MOST_LATE_S = 0.001
"""Maximum delay with which the meter's thread wakes up."""

CODECARBON_PERIOD_S = 15.0
CODECARBON_STALE_S = 0.05
"""How often CodeCarbon's tracker measures, and when it skips the measurement at its stop."""

Steps = list[tuple[float, float]]


def constant(duration_s: float, edges_s: Sequence[float], dice: random.Random) -> Steps:
    return [(0.0, dice.uniform(100.0, 650.0))]


def steps(duration_s: float, edges_s: Sequence[float], dice: random.Random) -> Steps:
    """Load that changes at random moments, every 2 s in the mean."""
    powers_w = [(0.0, 70.0)]
    while powers_w[-1][0] < duration_s:
        powers_w.append((powers_w[-1][0] + dice.expovariate(0.5), dice.uniform(70.0, 700.0)))
    return powers_w


def stages(duration_s: float, edges_s: Sequence[float], dice: random.Random) -> Steps:
    """Idle at 80 W but for the windows, each of which is a stage at its own power."""
    powers_w = [(0.0, 80.0)]
    for start_s, end_s in zip(edges_s[::2], edges_s[1::2], strict=True):
        powers_w += [(start_s, dice.uniform(200.0, 700.0)), (end_s, 80.0)]
    return powers_w


def bursts(duration_s: float, edges_s: Sequence[float], dice: random.Random) -> Steps:
    """Half-and-half bursts of 100 and 600 W; every 5 s another period from 25 to 300 ms."""
    powers_w: Steps = []
    now_s = 0.0
    while now_s < duration_s:
        period_s = 0.025 * 12.0 ** dice.random()
        for _ in range(math.ceil(5.0 / period_s)):
            powers_w += [(now_s, 600.0), (now_s + 0.5 * period_s, 100.0)]
            now_s += period_s
    return powers_w


def ramp(duration_s: float, edges_s: Sequence[float], dice: random.Random) -> Steps:
    """Up and down between 100 and 600 W in 8 s."""
    offset_s = dice.uniform(0.0, 8.0)
    times_s = [0.02 * index for index in range(math.ceil(duration_s / 0.02))]
    return [(t, 350.0 + 250.0 * math.sin(math.tau * (t + offset_s) / 8.0)) for t in times_s]


def noise(duration_s: float, edges_s: Sequence[float], dice: random.Random) -> Steps:
    """Every 10 ms another power: 400 W, standard deviation 120 W."""
    count = math.ceil(duration_s / 0.01)
    return [(0.01 * index, max(dice.gauss(400.0, 120.0), 60.0)) for index in range(count)]


LOADS: dict[str, Callable[[float, Sequence[float], random.Random], Steps]] = {
    "constant": constant,
    "steps": steps,
    "stages": stages,
    "bursts": bursts,
    "ramp": ramp,
    "noise": noise,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One window: what was used, and what each meter says."""

    length_s: float
    duration_s: float
    true_j: float
    pricetag_j: float
    codecarbon_j: float


@dataclass(frozen=True, slots=True)
class _Window:
    length_s: float
    start_s: float
    end_s: float


def simulate(
    sensors: Sensors, load: str, lengths_s: Sequence[float], count: int, *, seed: int
) -> list[Outcome]:
    """Meter ``count`` windows of each length at random moments of one load."""
    dice = random.Random(f"{sensors.name} {load} {seed}")
    if LOADS[load] is stages:
        windows = _in_a_row(lengths_s, min(count, MOST_STAGES), dice)
    else:
        windows = _windows(lengths_s, count, dice)
    end_s = max(window.end_s for window in windows) + 1.0
    edges = _edges(windows)
    trace = PowerTrace(LOADS[load](end_s, [edge_s for edge_s, _, _ in edges], dice))
    device = SimulatedDevice(sensors, trace, seed=dice.randrange(10**6))
    clock = Clock(0.0)
    with replayed(NvmlReplay(_One([device]), clock)), _codecarbon_on_replay():
        pricetag = _Pricetag(device.uuid, clock, dice)
        codecarbon = _CodeCarbon(clock)
        for edge_s, window, is_start in edges:
            pricetag.advance(edge_s, codecarbon)
            pricetag.edge()
            codecarbon.edge(window, is_start)
        pricetag.advance(end_s, codecarbon)
        ledger = pricetag.close()
    return [
        Outcome(
            window.length_s,
            window.end_s - window.start_s,
            trace.energy_j(window.start_s, window.end_s),
            ledger.window(window.start_s, window.end_s).energy_j or 0.0,
            codecarbon.energy_j[window],
        )
        for window in windows
    ]


def _windows(lengths_s: Sequence[float], count: int, dice: random.Random) -> list[_Window]:
    """Lengths vary, by a tick at least: of a multiple of its period both edges err alike."""
    windows = []
    for length_s in lengths_s:
        vary_s = max(0.05, 0.02 * length_s)
        for _ in range(count):
            start_s = WARM_UP_S + dice.uniform(0.0, SPREAD_S)
            end_s = start_s + length_s + dice.uniform(-vary_s, vary_s)
            windows.append(_Window(length_s, start_s, end_s))
    return windows


def _in_a_row(lengths_s: Sequence[float], count: int, dice: random.Random) -> list[_Window]:
    """The same, one after the other, with pauses."""
    windows: list[_Window] = []
    start_s = WARM_UP_S
    for window in _windows(lengths_s, count, dice):
        end_s = start_s + window.end_s - window.start_s
        windows.append(_Window(window.length_s, start_s, end_s))
        start_s = end_s + dice.uniform(1.0, 3.0)
    return windows


def _edges(windows: Sequence[_Window]) -> list[tuple[float, _Window, bool]]:
    """Time, window, and whether it begins there."""
    starts = [(window.start_s, window, True) for window in windows]
    ends = [(window.end_s, window, False) for window in windows]
    return sorted([*starts, *ends], key=lambda edge: edge[0])


@dataclass(frozen=True)
class _One:
    devices: Sequence[SimulatedDevice]


class _Pricetag:
    """The meter as its thread would drive it, and its readings."""

    def __init__(self, uuid: str, clock: Clock, dice: random.Random) -> None:
        self._component = f"gpu:{uuid}"
        self._clock, self._dice = clock, dice
        self._readings: list[Reading] = []
        self._meter = Meter([NvmlSource([uuid])], emit=self._readings.extend, clock=clock)
        self._meter.open(thread=False)
        self._poll_s = SAMPLE_PERIOD_S
        self._look_s = math.inf
        self._wait_to_look()

    def advance(self, until_s: float, beside: _CodeCarbon) -> None:
        """Poll, look and let the other meter measure, each in its time."""
        while True:
            next_s = min(self._poll_s, beside.next_s, self._look_s)
            if next_s >= until_s:
                break
            self._clock.now_s = next_s
            if next_s == beside.next_s:
                beside.measure()
                continue
            self._meter.look()
            self._wait_to_look()
            if next_s == self._poll_s:
                self._meter.poll()
                self._poll_s += SAMPLE_PERIOD_S
        self._clock.now_s = until_s

    def edge(self) -> None:
        self._meter.edge()
        self._wait_to_look()

    def close(self) -> EnergyLedger:
        self._meter.close()
        return EnergyLedger(booked(self._readings, self._component))

    def _wait_to_look(self) -> None:
        pause_s = self._meter.look_pause_s()
        late_s = self._dice.uniform(0.0, MOST_LATE_S)
        self._look_s = math.inf if pause_s is None else self._clock.now_s + pause_s + late_s


class _CodeCarbon:
    """Its own classes for GPUs, called as its tracker calls them; one for each window."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._gpu = codecarbon_parts.load("codecarbon.external.hardware").GPU
        self._open: dict[_Window, tuple[Any, float]] = {}
        self._due_s: dict[_Window, float] = {}
        self.energy_j: dict[_Window, float] = {}
        self.next_s = math.inf

    def edge(self, window: _Window, is_start: bool) -> None:
        now_s = self._clock.now_s
        if is_start:
            gpu = self._gpu(gpu_ids=[0])
            gpu.start()
            self._open[window] = (gpu, now_s)
            self.energy_j[window] = 0.0
            self._measure(window)
            self._due_s[window] = now_s + CODECARBON_PERIOD_S
        else:
            if now_s - self._open[window][1] >= CODECARBON_STALE_S:
                self._measure(window)
            del self._open[window], self._due_s[window]
        self.next_s = min(self._due_s.values(), default=math.inf)

    def measure(self) -> None:
        """What a tracker does every 15 s."""
        for window, due_s in self._due_s.items():
            if due_s <= self._clock.now_s:
                self._measure(window)
                self._due_s[window] = due_s + CODECARBON_PERIOD_S
        self.next_s = min(self._due_s.values(), default=math.inf)

    def _measure(self, window: _Window) -> None:
        gpu, measured_s = self._open[window]
        _, energy = gpu.measure_power_and_energy(self._clock.now_s - measured_s)
        self._open[window] = (gpu, self._clock.now_s)
        self.energy_j[window] += energy.kWh * 3.6e6


@contextmanager
def _codecarbon_on_replay() -> Iterator[None]:
    """CodeCarbon decides when it is imported whether there is an NVML: here there is one."""
    gpu = codecarbon_parts.load("codecarbon.core.gpu")
    nvidia = codecarbon_parts.load("codecarbon.core.gpu_nvidia")
    before = (nvidia.pynvml, nvidia.PYNVML_AVAILABLE, gpu.PYNVML_AVAILABLE)
    logging.getLogger("codecarbon").setLevel(logging.ERROR)
    nvidia.pynvml, nvidia.PYNVML_AVAILABLE, gpu.PYNVML_AVAILABLE = pynvml, True, True
    try:
        yield
    finally:
        nvidia.pynvml, nvidia.PYNVML_AVAILABLE, gpu.PYNVML_AVAILABLE = before
