"""Traces of real devices, played by ``tests.support.nvml_replay``."""

from __future__ import annotations

import csv
from bisect import bisect_right
from pathlib import Path

import pynvml

from tests.support.fake_nvml.trace import NVML_DEVICE_ARCH_UNKNOWN, NVML_ERROR_NOT_SUPPORTED

COLUMN_OF = {
    pynvml.NVML_FI_DEV_POWER_INSTANT: "instant_w",
    pynvml.NVML_FI_DEV_POWER_AVERAGE: "average_w",
}


class RecordedDevice:
    """One device as ``benchmarks.record_trace`` saw it: each row holds until the next."""

    limit_w = 700.0
    memory_mb = 81920

    def __init__(
        self, path: Path, *, name: str = "recorded", architecture: int = NVML_DEVICE_ARCH_UNKNOWN
    ) -> None:
        with path.open(newline="") as file:
            self._rows = list(csv.DictReader(file))
        self._times_s = [float(row["time_s"]) for row in self._rows]
        self.uuid = self._rows[0]["uuid"]
        self.name = name
        self.architecture = architecture
        self.codes = {} if self._rows[0]["energy_mj"] else {"counter": NVML_ERROR_NOT_SUPPORTED}

    @property
    def end_s(self) -> float:
        return self._times_s[-1]

    def is_lost(self, t_s: float) -> bool:
        return False

    def power_w(self, t_s: float) -> float:
        return float(self._at(t_s)["power_w"] or 0.0)

    def field_w(self, field_id: int, t_s: float) -> tuple[int, float]:
        power_w = self._at(t_s)[COLUMN_OF[field_id]]
        return (0, float(power_w)) if power_w else (NVML_ERROR_NOT_SUPPORTED, 0.0)

    def counter_at_mj(self, t_s: float) -> int:
        return int(self._at(t_s)["energy_mj"] or 0)

    def _at(self, t_s: float) -> dict[str, str]:
        return self._rows[max(bisect_right(self._times_s, t_s) - 1, 0)]
