"""One source of a meter: integrates samples, completes readings, reports faults."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from pricetag.accounting.readings.step_energy import IMPLAUSIBLE_POWER
from pricetag.metering.integral import Divergence, PowerBound, Trapezoid
from pricetag.metering.source import (
    GAP,
    LOST,
    SOURCE_ERROR,
    Component,
    PowerSource,
    Reading,
)
from pricetag.metering.ticks import Ticker, TickingSource

logger = logging.getLogger(__name__)


class MeteredSource:
    """A source, with the meter's state for each of its components.

    A source that raises is read as null with a flag: a broken source must not stop the others.

    Args:
        source: Power source; opened here, closed by :meth:`close`.
    """

    def __init__(self, source: PowerSource) -> None:
        self._source = source
        self.components: list[Component] = list(source.components())
        self.ids = [component.id for component in self.components]
        self._trapezoids = [Trapezoid() for _ in self.ids]
        self._divergence = [Divergence() for _ in self.ids]
        self._bounds = [PowerBound(component.power_limit_w) for component in self.components]
        self._jumped: set[int] = set()
        self._failed = False
        self._reported: set[str] = set()

    def tickers(self, place: int) -> Iterator[Ticker]:
        """A ticker for each counter that ticks.

        Args:
            place: Index of this source in the meter; a ticker's place is this and its own index.
        """
        if not isinstance(self._source, TickingSource):
            return
        for index, component in enumerate(self.components):
            if component.update_s is not None:
                ask = partial(self._source.counter_now_j, index)
                look = partial(self._guarded, ask)
                yield Ticker((place, index), component.update_s, look)

    def sample(self, now_s: float) -> Sequence[float | None]:
        """Add the current power to the integrals; returns it, in the order of ``ids``."""
        try:
            powers_w = self._source.sample(now_s)
        except Exception as error:  # one broken source must not stop the others
            self._report(error)
            powers_w = (None,) * len(self.ids)
        for index, power_w in enumerate(powers_w):
            self._trapezoids[index].add(now_s, power_w)
        return powers_w

    def read(self, now_s: float) -> list[Reading]:
        """A reading of every component."""
        try:
            readings = self._source.read(now_s)
        except Exception as error:  # one broken source must not stop the others
            self._report(error)
            readings = [Reading.silent(name, now_s, SOURCE_ERROR) for name in self.ids]
        if self._failed:
            readings = [reading.flagged(SOURCE_ERROR) for reading in readings]
            self._failed = False
        return [self._completed(index, reading, now_s) for index, reading in enumerate(readings)]

    def read_tick(self, index: int, counter_j: float | None, flag: str, now_s: float) -> Reading:
        """One component's reading at an update of its counter."""
        assert isinstance(self._source, TickingSource)  # only such a source is watched
        power_w = self._guarded(partial(self._source.power_now_w, index))
        trapezoid = self._trapezoids[index]
        trapezoid.add(now_s, power_w)
        if self._bounds[index].is_exceeded(now_s, counter_j):
            self._jumped.add(index)  # the next reading's step includes the jump too
            counter_j = None
        return Reading(
            t_s=now_s,
            counter_j=counter_j,
            integrated_j=trapezoid.energy_j if trapezoid.valid else None,
            power_w=power_w,
            flags=(flag,),
            component=self.ids[index],
        )

    def close(self) -> None:
        """Close the source."""
        try:
            self._source.close()
        except Exception as error:  # the other sources must still be closed
            self._report(error)

    def _completed(self, index: int, reading: Reading, now_s: float) -> Reading:
        """A source's reading with the integral and the meter's flags."""
        trapezoid = self._trapezoids[index]
        if LOST in reading.flags:
            trapezoid.interrupt()
        elif trapezoid.take_gap():
            reading = reading.flagged(GAP)
        if reading.integrated_j is None and trapezoid.valid:
            reading = replace(reading, integrated_j=trapezoid.energy_j)
        if self._bounds[index].is_exceeded(now_s, reading.counter_j) or index in self._jumped:
            reading = reading.flagged(IMPLAUSIBLE_POWER)
            self._jumped.discard(index)
        self._follow(index, reading)
        return reading

    def _follow(self, index: int, reading: Reading) -> None:
        """Warn once where counter and integral diverge; a model cannot show that."""
        if self.components[index].has_model:
            return
        divergence = self._divergence[index]
        was_told = divergence.ratio is not None
        divergence.add(reading.t_s, reading.counter_j, reading.integrated_j)
        if divergence.ratio is not None and not was_told:
            text = "%s: its counter is %+.0f%% off its integrated power; the counter is used"
            logger.warning(text, self.ids[index], 100.0 * divergence.ratio)

    def _guarded(self, ask: Callable[[], float | None]) -> float | None:
        try:
            return ask()
        except Exception as error:  # one broken source must not stop the others
            self._report(error)
            return None

    def _report(self, error: Exception) -> None:
        self._failed = True
        failure = f"{type(error).__name__}: {error}"
        if failure not in self._reported:
            self._reported.add(failure)
            logger.error("%s failed: %s", type(self._source).__name__, failure, exc_info=error)
