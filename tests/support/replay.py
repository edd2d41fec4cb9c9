"""A recorded trace played back as a meter: what was measured once, measured again."""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pricetag.metering.nvml import GAIN_STD_RATIO
from pricetag.metering.source import LOST, Component, Reading

NEEDED_COLUMNS = ("time_s", "uuid", "power_w", "energy_mj")
TRACE_END = "trace_end"


class TraceError(ValueError):
    """A trace cannot be read; the message names the file, the line and the column."""


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One device at one moment of a trace.

    Attributes:
        time_s: Seconds since the trace began.
        power_w: Power in W, None where it was not read.
        energy_mj: The device's counter in mJ, None where it was not read.
    """

    time_s: float
    power_w: float | None
    energy_mj: float | None


Trace = Mapping[str, Sequence[TraceRow]]
"""Rows by device UUID, in time order; times are relative to the trace's first row."""


def load_trace(path: Path) -> Trace:
    """Read a trace from CSV: ``time_s, uuid, power_w, energy_mj``; other columns are ignored.

    An empty power or energy means that it could not be read then.

    Raises:
        TraceError: If a column is missing, a value is not a number, or time goes back.
    """
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in NEEDED_COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise TraceError(f"{path}: no column {', '.join(missing)}")
        rows = [(_row(path, reader.line_num, line), line["uuid"]) for line in reader]
    if not rows:
        raise TraceError(f"{path}: no rows")
    return _by_device(path, rows)


def _row(path: Path, number: int, line: Mapping[str, str]) -> TraceRow:
    figures: list[float | None] = []
    for name in ("time_s", "power_w", "energy_mj"):
        text = (line[name] or "").strip()
        try:
            figures.append(float(text) if text else None)
        except ValueError as error:
            raise TraceError(f"{path}, line {number}, {name}: {text!r} is no number") from error
    time_s, power_w, energy_mj = figures
    if time_s is None:
        raise TraceError(f"{path}, line {number}: time_s is empty")
    return TraceRow(time_s, power_w, energy_mj)


def _by_device(path: Path, rows: Sequence[tuple[TraceRow, str]]) -> Trace:
    start_s = min(row.time_s for row, _ in rows)
    devices: dict[str, list[TraceRow]] = {}
    for row, uuid in rows:
        own = devices.setdefault(uuid, [])
        time_s = row.time_s - start_s
        if own and time_s < own[-1].time_s:
            raise TraceError(f"{path}: time goes back at {row.time_s:g} s of {uuid}")
        own.append(TraceRow(time_s, row.power_w, row.energy_mj))
    return devices


class ReplaySource:
    """Plays a trace from the moment the meter opens, each row until the next.

    Args:
        trace: What :func:`load_trace` returned.
        speed: How many seconds of the trace pass in one of the meter's.
        name: Product name of the devices.
    """

    def __init__(self, trace: Trace, *, speed: float = 1.0, name: str = "replayed") -> None:
        if speed <= 0:
            raise ValueError(f"speed must be above 0, not {speed:g}")
        self._trace = {uuid: list(rows) for uuid, rows in trace.items()}
        self._times_s = {uuid: [row.time_s for row in rows] for uuid, rows in self._trace.items()}
        self._speed = speed
        self._name = name

    def components(self) -> list[Component]:
        """See :class:`~pricetag.metering.source.PowerSource`."""
        return [
            Component(
                id=f"gpu:{uuid}",
                kind="gpu",
                name=self._name,
                method="counter" if any(r.energy_mj is not None for r in rows) else "integrated",
                gain_std_ratio=GAIN_STD_RATIO,
                notes="replayed from a trace",
            )
            for uuid, rows in self._trace.items()
        ]

    def sample(self, now_s: float) -> Sequence[float | None]:
        """See :class:`~pricetag.metering.source.PowerSource`."""
        rows = [self._at(uuid, now_s) for uuid in self._trace]
        return [row.power_w if row is not None else None for row in rows]

    def read(self, now_s: float) -> list[Reading]:
        """See :class:`~pricetag.metering.source.PowerSource`."""
        return [_reading(uuid, now_s, self._at(uuid, now_s)) for uuid in self._trace]

    def close(self) -> None:
        """Nothing stays open."""

    def _at(self, uuid: str, now_s: float) -> TraceRow | None:
        """The row in force; None before the first and after the last."""
        time_s = now_s * self._speed
        times_s = self._times_s[uuid]
        index = bisect_right(times_s, time_s) - 1
        return None if index < 0 or time_s > times_s[-1] else self._trace[uuid][index]


def _reading(uuid: str, now_s: float, row: TraceRow | None) -> Reading:
    if row is None:
        return Reading.silent(f"gpu:{uuid}", now_s, TRACE_END)
    if row.power_w is None and row.energy_mj is None:
        return Reading.silent(f"gpu:{uuid}", now_s, LOST)
    return Reading(
        t_s=now_s,
        counter_j=row.energy_mj / 1000.0 if row.energy_mj is not None else None,
        integrated_j=None,
        power_w=row.power_w,
        component=f"gpu:{uuid}",
    )
