"""The node's own meter: reads every component of the machine while a worker runs.

Energy that is not charged to a run belongs to the node: idle energy between jobs, and the service
itself. One worker of a machine meters it; another takes over when that one ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from app.cancellation import heed_cancellation
from pricetag.atomic_files import write_whole
from pricetag.metering import Component, PowerSource, Reading, open_sources
from pricetag.metering.activity import machine_busy_s
from pricetag.metering.baselines import Baseline, BaselineBook
from pricetag.metering.devices import list_accelerators
from pricetag.metering.machine import boot_id, machine_id
from pricetag.metering.meter import Meter
from pricetag.metering.nvml_errors import LibraryUnavailableError
from pricetag.metering.rapl_zones import powercap_root, scan
from pricetag.metering.states import State, component_state
from workers.node.hours import NodeHours, Row
from workers.node.idle_watch import IdleWatch, baseline
from workers.node.live_power import LivePower
from workers.node.machine import Use, only_one
from workers.node.readings import ComponentReadings

logger = logging.getLogger(__name__)

TICK_S = 10.0
SHIP_S = 30.0
LAST_SHIP_S = 5.0
"""Maximum wait for the database when a worker ends, in s; unshipped totals stay on disk."""

READING_HZ = 1.0

ShipHours = Callable[[Sequence[Row]], Awaitable[None]]
ShipBaselines = Callable[[Sequence[Baseline]], Awaitable[None]]


def all_sources() -> list[PowerSource]:
    """Meters of everything on this machine."""
    try:
        uuids = [device.uuid for device in list_accelerators()]
    except LibraryUnavailableError as error:
        logger.warning("the node's meter cannot list devices: %s", error)
        uuids = []
    return open_sources(uuids)


def wraps_at_j() -> dict[str, float]:
    """Values at which this machine's counters wrap, by component."""
    rapl = scan(powercap_root(os.environ))
    zones = [*rapl.packages, *rapl.dram]
    return {f"rapl:{zone.id}": zone.range_uj / 1e6 for zone in zones if zone.range_uj is not None}


class NodeMeter:
    """Meters one machine, keeps hourly totals on disk, and ships them.

    Args:
        data_dir: The data folder, which the machine's workers share.
        use: Use of the machine's components.
        ship_hours: Ships totals; if it raises, they are shipped again later.
        ship_baselines: Ships newly measured idle powers in the same way.
        sources: Creates the meters.
        wraps: Values at which counters wrap.
        state_of: Reads the state of a component, on which its idle power depends.
        clock: Seconds since boot.
        wall_clock: Seconds since 1970.
        machine_cpu_s: CPU seconds of the whole machine so far.
        live: Shows the power samples.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        use: Callable[[], Use],
        ship_hours: ShipHours,
        ship_baselines: ShipBaselines,
        sources: Callable[[], list[PowerSource]] = all_sources,
        wraps: Callable[[], dict[str, float]] = wraps_at_j,
        state_of: Callable[[str], State] = component_state,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        machine_cpu_s: Callable[[], float | None] = machine_busy_s,
        live: LivePower | None = None,
    ) -> None:
        folder = data_dir / "workers"
        self._lock_path = folder / f"{machine_id()}.node-meter.lock"
        self._state_path = folder / f"{machine_id()}.node-meter.json"
        self.baselines = BaselineBook(folder / f"{machine_id()}.baselines.json")
        self._use = use
        self._ship_hours = ship_hours
        self._ship_baselines = ship_baselines
        self._make_sources = sources
        self._wraps = wraps
        self._state_of = state_of
        self._clock = clock
        self._wall_clock = wall_clock
        self._machine_cpu_s = machine_cpu_s
        self._live = live
        self._mutex = threading.Lock()
        self._hours = NodeHours()
        self._readings: dict[str, ComponentReadings] = {}
        self._wrap_j: dict[str, float] = {}
        self._bridged: set[str] = set()
        self._idle = IdleWatch(os.cpu_count() or 1)
        self._meter: Meter | None = None
        self._opened_s = 0.0
        self._untold: list[Baseline] = []
        self._is_unsaved = False
        self._shipped_s = -SHIP_S

    async def run(self) -> None:
        """Meter until canceled; wait while another worker does it."""
        while True:
            try:
                await self._run_if_alone()
            except OSError as error:
                logger.warning("the node's meter is postponed: %s", error)
            await asyncio.sleep(TICK_S)

    async def _run_if_alone(self) -> None:
        self._lock_path.parent.mkdir(parents=True, exist_ok=True)
        with only_one(self._lock_path) as is_ours:
            if is_ours:
                await self._run_alone()

    async def _run_alone(self) -> None:
        try:
            await _finished(self.open)
            while True:
                await asyncio.sleep(TICK_S)
                await _finished(self.tick)
                if self._clock() - self._shipped_s >= SHIP_S:
                    await self.ship()
                heed_cancellation()
        finally:
            await _finished(self.close)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_SHIP_S):
                    await self.ship()

    def open(self, *, thread: bool = True) -> None:
        """Continue where the last node meter stopped, and start reading.

        Args:
            thread: Whether the meter reads in a thread; otherwise the caller polls it.
        """
        if not self._is_unsaved:  # otherwise the totals in memory are newer
            self._hours = self._load()
        self._wrap_j, self._bridged = self._wraps(), set()
        self._idle = IdleWatch(os.cpu_count() or 1)
        self._meter = Meter(
            self._make_sources(),
            emit=self._on_readings,
            clock=self._clock,
            power_hz=READING_HZ,
            reading_hz=READING_HZ,
            on_power=None if self._live is None else self._live.add,
        )
        self._readings = {}
        components = self._meter.open(thread=thread)
        if self._live is not None:
            self._live.meet(components)
        for component in components:
            self._meet(component)
        self._opened_s = self._clock() - self._meter.now_s()

    def poll(self) -> None:
        """One step of a meter without a thread."""
        if self._meter is not None:
            self._meter.poll()

    def tick(self) -> None:
        """Books the readings since the last tick, saves the totals, and measures idle powers.

        While the disk is full the totals are kept in memory, and metering continues.
        """
        with self._mutex:
            self._book()
            self._measure_idle()
        self._save()

    def close(self) -> None:
        """Books the last readings and stops. Repeatable."""
        if self._meter is None:
            return
        self._meter.close()
        self._meter = None
        with self._mutex:
            self._book(everything=True)
        self._save()

    async def ship(self) -> None:
        """Ship changed totals; those not accepted are shipped the next time."""
        with self._mutex:
            rows, measured = self._hours.changed(), list(self._untold)
        try:
            if rows:
                await self._ship_hours(rows)
            if measured:
                await self._ship_baselines(measured)
        except Exception as error:  # after any error, the totals are shipped again
            logger.info("the node's energy could not be shipped (%s); it is kept", error)
            return
        with self._mutex:
            self._hours.mark_shipped(rows, self._wall_clock())
            self._untold = [item for item in self._untold if item not in measured]
            self._shipped_s = self._clock()

    def _meet(self, component: Component) -> None:
        with self._mutex:
            self._readings[component.id] = ComponentReadings(component)
            self._hours.meet(component)

    def _on_readings(self, readings: list[Reading]) -> None:
        with self._mutex:
            for reading in readings:
                self._readings[reading.component].add(reading)

    def _wall_s(self, t_s: float) -> float:
        """Seconds since 1970 of a reading."""
        return self._wall_clock() - (self._clock() - self._opened_s - t_s)

    def _book(self, *, everything: bool = False) -> None:
        for component, readings in self._readings.items():
            self._bridge(component, readings)
            settled = readings.settle(everything=everything)
            if settled is None:
                continue
            window, counter_j = settled
            end_s = self._wall_s(window.end_s)
            if window.energy_j is not None:
                self._hours.add(
                    component,
                    end_s - window.duration_s,
                    end_s,
                    energy_j=window.energy_j,
                    covered_s=window.covered_s,
                    flags=window.flags,
                )
            if counter_j is not None:
                self._hours.mark(component, end_s, counter_j)

    def _bridge(self, component: str, readings: ComponentReadings) -> None:
        """Book, at its first reading, the energy used while no worker was running."""
        first = readings.first_counter()
        if component in self._bridged or first is None:
            return
        self._bridged.add(component)
        at_s, counter_j = self._wall_s(first[0]), first[1]
        wrap_j = self._wrap_j.get(component)
        self._hours.bridge(component, at_s, counter_j, wraps_at_j=wrap_j)
        self._hours.mark(component, at_s, counter_j)

    def _measure_idle(self) -> None:
        use, cpu_s, now_s = self._use(), self._machine_cpu_s(), self._clock()
        now = datetime.fromtimestamp(self._wall_clock(), UTC)
        measured = []
        for component, readings in self._readings.items():
            if readings.component.method == "modelled":
                continue  # a model includes its own power at no load
            state = self._state_of(component)
            since_s = self._idle.look(component, use=use, state=state, now_s=now_s, cpu_s=cpu_s)
            if since_s is None or not self.baselines.is_due(component, state, now):
                continue
            window = readings.window(since_s - self._opened_s, now_s - self._opened_s)
            if (measured_baseline := baseline(readings, window, state, now)) is not None:
                measured.append(measured_baseline)
            self._idle.begin_anew([component])
        if measured:
            try:
                self.baselines.add(measured)
            except OSError as error:
                logger.error("idle powers cannot be saved: %s", error)
            self._untold += measured

    def _load(self) -> NodeHours:
        try:
            return NodeHours.from_dict(json.loads(self._state_path.read_text()), boot_id())
        except FileNotFoundError:
            return NodeHours()
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.error("%s cannot be read and is started again: %s", self._state_path, error)
            return NodeHours()

    def _save(self) -> None:
        with self._mutex:
            state = self._hours.as_dict(boot_id())
        try:
            write_whole(self._state_path, json.dumps(state))
        except OSError as error:
            if not self._is_unsaved:
                logger.error("the node's energy is kept in memory until it can be saved: %s", error)
            self._is_unsaved = True
        else:
            self._is_unsaved = False


async def _finished(work: Callable[[], None]) -> None:
    """Runs ``work`` in a thread to its end, even if this task is canceled."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
