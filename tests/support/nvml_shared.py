"""The replayed NVML with what sharing needs: MIG attributes, GPM, processes, states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pynvml

from tests.support.nvml_replay import NvmlReplay, ReplayedTrace, _number, _set_number

SUCCESS = int(pynvml.NVML_SUCCESS)


@dataclass(frozen=True)
class MigPart:
    """One simulated MIG device.

    Attributes:
        use: Its mean use, 0 to 1.
        compute: Slices of its compute instance; all of its GPU instance's by default.
    """

    uuid: str
    profile: str
    instance: int
    slices: int
    memory_mb: int = 20480
    use: float = 0.0
    compute: int | None = None


class SharedNvml(NvmlReplay):
    """``parts`` are MIG devices by parent; ``sm_percent`` uses by pid, per device.

    Attributes:
        gpm: Whether GPM is supported.
        samples: Samples that are allocated now.
    """

    def __init__(self, trace: ReplayedTrace, now_s: Callable[[], float]) -> None:
        super().__init__(trace, now_s)
        self.parts: dict[str, list[MigPart]] = {}
        self.sm_percent: dict[str, dict[int, int]] = {}
        self.processes: dict[str, int] = {}
        self.p_state = 0
        self.persistence = 1
        self.driver = "560.35.03"
        self.gpm = True
        self.samples = 0

    def divide(self, parent: str, parts: list[MigPart]) -> None:
        self.parts[parent] = parts
        self.mig_slices[parent] = tuple(part.uuid for part in parts)

    def _part(self, handle: Any) -> MigPart:
        uuid = self._slices()[_number(handle) - 1001]
        return next(part for parts in self.parts.values() for part in parts if part.uuid == uuid)

    def _nvmlDeviceGetName(self, handle: Any, text: Any, length: Any) -> int:  # noqa: N802
        if _number(handle) > 1000:
            text.value = f"Parent MIG {self._part(handle).profile}".encode()
            return SUCCESS
        return super()._nvmlDeviceGetName(handle, text, length)

    def _nvmlDeviceGetAttributes_v2(self, handle: Any, attributes: Any) -> int:  # noqa: N802
        part = self._part(handle)
        attributes._obj.gpuInstanceSliceCount = part.slices
        attributes._obj.computeInstanceSliceCount = part.compute or part.slices
        attributes._obj.memorySizeMB = part.memory_mb
        return SUCCESS

    def _nvmlDeviceGetGpuInstanceId(self, handle: Any, instance: Any) -> int:  # noqa: N802
        instance._obj.value = self._part(handle).instance
        return SUCCESS

    def _nvmlSystemGetDriverVersion(self, text: Any, length: Any) -> int:  # noqa: N802
        text.value = self.driver.encode()
        return SUCCESS

    def _nvmlDeviceGetPersistenceMode(self, handle: Any, mode: Any) -> int:  # noqa: N802
        mode._obj.value = self.persistence
        return SUCCESS

    def _nvmlDeviceGetPerformanceState(self, handle: Any, state: Any) -> int:  # noqa: N802
        state._obj.value = self.p_state
        return SUCCESS

    def _nvmlDeviceGetComputeRunningProcesses_v3(  # noqa: N802
        self, handle: Any, count: Any, processes: Any
    ) -> int:
        running = self.processes.get(self._device(handle).uuid, 0)
        if running == 0:
            return SUCCESS
        if processes is None:
            count._obj.value = running
            return int(pynvml.NVML_ERROR_INSUFFICIENT_SIZE)
        for index in range(running):
            processes[index].pid = 1000 + index
        count._obj.value = running
        return SUCCESS

    def _nvmlDeviceGetProcessUtilization(  # noqa: N802
        self, handle: Any, samples: Any, count: Any, seen_us: Any
    ) -> int:
        percents = self.sm_percent.get(self._device(handle).uuid)
        if percents is None:
            return int(pynvml.NVML_ERROR_NOT_SUPPORTED)
        if not percents:
            return int(pynvml.NVML_ERROR_NOT_FOUND)
        if samples is None:
            count._obj.value = len(percents)
            return int(pynvml.NVML_ERROR_INSUFFICIENT_SIZE)
        for index, (pid, percent) in enumerate(percents.items()):
            samples[index].pid = pid
            samples[index].smUtil = percent
            samples[index].timeStamp = int(self.now_s() * 1e6)
        count._obj.value = len(percents)
        return SUCCESS

    def _nvmlGpmQueryDeviceSupport(self, handle: Any, support: Any) -> int:  # noqa: N802
        support._obj.isSupportedDevice = int(self.gpm)
        return SUCCESS

    def _nvmlGpmSampleAlloc(self, sample: Any) -> int:  # noqa: N802
        self.samples += 1
        _set_number(sample._obj, 5000 + self.samples)
        return SUCCESS

    def _nvmlGpmSampleFree(self, sample: Any) -> int:  # noqa: N802
        self.samples -= 1
        return SUCCESS

    def _nvmlGpmMigSampleGet(self, handle: Any, instance: Any, sample: Any) -> int:  # noqa: N802
        self._sampled = (self._device(handle).uuid, int(instance))
        return SUCCESS if self.gpm else int(pynvml.NVML_ERROR_NOT_SUPPORTED)

    def _nvmlGpmMetricsGet(self, asked: Any) -> int:  # noqa: N802
        parent, instance = self._sampled  # each instance is asked right after it was sampled
        [part, *_] = [part for part in self.parts[parent] if part.instance == instance]
        metric = asked._obj.metrics[0]
        assert metric.metricId == pynvml.NVML_GPM_METRIC_SM_UTIL
        assert _number(asked._obj.sample1) != _number(asked._obj.sample2)
        metric.nvmlReturn = SUCCESS
        metric.value = part.use * 100.0
        return SUCCESS
