"""Activity of a job on a shared GPU: by process, or by MIG instance.

Activity is the use of the streaming multiprocessors, integrated over time: seconds of full
use. NVML reports it as a mean since the last query.
"""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pynvml

from pricetag.metering.activity import Busy
from pricetag.metering.nvml_devices import Slice
from pricetag.metering.nvml_errors import Action, action_for

logger = logging.getLogger(__name__)

MIN_INTERVAL_S = 0.25
"""The driver samples a few times a second: shorter intervals reuse the previous value."""

MAX_UTIL_PERCENT = 100

HOST_PID_NAMESPACE = 0xEFFFFFFC
"""Inode of the first pid namespace; NVML reports pids of that namespace."""

Use = tuple[float, float]
"""Mean use since the last query, by the job and by all, as a share of the device (0 to 1)."""


class _GpuActivity(ABC):
    """Integrates mean use; after a failed query it stays unknown."""

    def __init__(self, uuid: str) -> None:
        self._uuid = uuid
        self._handle: Any = None
        self._is_initialized = False
        self._is_closed = False
        self._asked_s: float | None = None
        self._asked: Use = (0.0, 0.0)
        self._use: Use = (0.0, 0.0)
        self._cumulative: Use = (0.0, 0.0)

    def busy(self, now_s: float) -> Busy:
        """See :class:`~pricetag.metering.activity.Activity`."""
        if self._is_closed:
            return None, None
        try:
            self._advance(now_s)
        except pynvml.NVMLError as error:
            return self._fail(error)
        return self._cumulative

    def close(self) -> None:
        """Shut down this object's use of NVML."""
        self._is_closed = True
        if self._is_initialized:
            self._is_initialized = False
            try:
                self._release()
                pynvml.nvmlShutdown()
            except pynvml.NVMLError as error:
                logger.info("NVML did not shut down: %s", error)

    def _advance(self, now_s: float) -> None:
        if self._asked_s is None:
            pynvml.nvmlInit()
            self._is_initialized = True
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(self._uuid)
            self._mean_use(now_s)  # discard use before the start
            self._asked_s = now_s
            return
        elapsed_s = now_s - self._asked_s
        if elapsed_s >= MIN_INTERVAL_S:
            self._use = self._mean_use(now_s)
            self._asked = self._at(elapsed_s)
            self._cumulative, self._asked_s = self._later(self._asked), now_s
        else:
            self._cumulative = self._later(self._at(elapsed_s))

    def _at(self, elapsed_s: float) -> Use:
        own_s, all_s = self._asked
        return own_s + self._use[0] * elapsed_s, all_s + self._use[1] * elapsed_s

    def _later(self, use: Use) -> Use:
        """Cumulative figures never decrease, even if the previous estimate was higher."""
        return max(self._cumulative[0], use[0]), max(self._cumulative[1], use[1])

    def _fail(self, error: pynvml.NVMLError) -> Busy:
        if action_for(error.value) is Action.TRY_AGAIN and self._asked_s is not None:
            return self._cumulative
        logger.info("%s: activity is unavailable: %s", self._uuid, error)
        self.close()
        return None, None

    @abstractmethod
    def _mean_use(self, now_s: float) -> Use:
        """Mean use since the last query."""

    def _release(self) -> None:  # noqa: B027 - most hold nothing else
        """Release resources other than the handle."""


class ProcessUse(_GpuActivity):
    """Use of a whole device by a job's processes and by all processes.

    Args:
        uuid: The device.
        own_pids: The job's processes at the time of a reading, by their pids on the host.
    """

    def __init__(self, uuid: str, own_pids: Callable[[float], Iterable[int]]) -> None:
        super().__init__(uuid)
        self._own_pids = own_pids
        self._seen_us = 0

    def _mean_use(self, now_s: float) -> Use:
        try:
            samples = pynvml.nvmlDeviceGetProcessUtilization(self._handle, self._seen_us)
        except pynvml.NVMLError_NotFound:
            return 0.0, 0.0  # nobody was active
        by_pid: dict[int, list[int]] = {}
        for sample in samples:
            self._seen_us = max(self._seen_us, int(sample.timeStamp))
            if 0 <= sample.smUtil <= MAX_UTIL_PERCENT:  # other values are uninitialized memory
                by_pid.setdefault(int(sample.pid), []).append(int(sample.smUtil))
        means = {pid: sum(percents) / len(percents) / 100.0 for pid, percents in by_pid.items()}
        own = set(self._own_pids(now_s))
        return sum(use for pid, use in means.items() if pid in own), sum(means.values())


class SliceUse(_GpuActivity):
    """Use of a divided device by the job's MIG instances and by all instances.

    Reported by GPM (Hopper and later), which needs the driver's permission to profile.

    Args:
        parent: The whole device.
        own: The job's slices, each alone in its instance.
        everybody: All slices of the device.
    """

    def __init__(self, parent: str, own: Iterable[Slice], everybody: Iterable[Slice]) -> None:
        super().__init__(parent)
        self._own = {piece.instance for piece in own}
        self._weights: dict[int, float] = {}
        for piece in everybody:
            self._weights[piece.instance] = self._weights.get(piece.instance, 0.0) + piece.ratio
        self._samples: dict[int, tuple[Any, Any]] = {}

    def _mean_use(self, now_s: float) -> Use:
        uses = {
            instance: weight * self._instance_use(instance)
            for instance, weight in self._weights.items()
        }
        return sum(uses[instance] for instance in self._own), sum(uses.values())

    def _instance_use(self, instance: int) -> float:
        """Share of time, 0 to 1, in which the instance's multiprocessors were busy."""
        is_first = instance not in self._samples
        if is_first:
            self._samples[instance] = pynvml.nvmlGpmSampleAlloc(), pynvml.nvmlGpmSampleAlloc()
        before, after = self._samples[instance]
        pynvml.nvmlGpmMigSampleGet(self._handle, instance, after)
        self._samples[instance] = after, before
        if is_first:
            return 0.0
        asked = pynvml.c_nvmlGpmMetricsGet_t()
        asked.version = pynvml.NVML_GPM_METRICS_GET_VERSION
        asked.numMetrics = 1
        asked.sample1, asked.sample2 = before, after
        asked.metrics[0].metricId = pynvml.NVML_GPM_METRIC_SM_UTIL
        pynvml.nvmlGpmMetricsGet(asked)
        if asked.metrics[0].nvmlReturn != pynvml.NVML_SUCCESS:
            raise pynvml.NVMLError(asked.metrics[0].nvmlReturn)
        return float(min(max(asked.metrics[0].value / 100.0, 0.0), 1.0))

    def _release(self) -> None:
        for pair in self._samples.values():
            for sample in pair:
                pynvml.nvmlGpmSampleFree(sample)
        self._samples.clear()


def has_slice_use(parent: str) -> bool:
    """Whether the device reports the use of its MIG instances."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return False
    try:
        handle = pynvml.nvmlDeviceGetHandleByUUID(parent)
        return bool(pynvml.nvmlGpmQueryDeviceSupport(handle).isSupportedDevice)
    except pynvml.NVMLError:
        return False
    finally:
        pynvml.nvmlShutdown()


def is_host_namespace(link: Path = Path("/proc/self/ns/pid")) -> bool:
    """Whether this process sees the pids that NVML reports: false inside a container."""
    try:
        return os.stat(link).st_ino == HOST_PID_NAMESPACE
    except OSError:
        return False
