"""The state of a component on which its idle power depends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pynvml

from pricetag.metering.nvml_devices import nvml_session
from pricetag.metering.nvml_errors import Action, action_for

GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
UNKNOWN = "state unknown"


@dataclass(frozen=True, slots=True)
class State:
    """How a component is set up.

    Attributes:
        settings: Settings that people change: driver, persistence mode, MIG mode, governor.
        level: The P-state, which changes by itself; empty where there is none.
        others: Processes that use it, as far as known.
    """

    settings: str
    level: str = ""
    others: int = 0

    def __str__(self) -> str:
        return ", ".join(part for part in (self.settings, self.level) if part)


def gpu_state(uuid: str) -> State:
    """The state of an NVIDIA device; settings that it does not report are omitted."""
    try:
        with nvml_session():
            return _gpu_state(pynvml.nvmlDeviceGetHandleByUUID(uuid))
    except pynvml.NVMLError:
        return State(UNKNOWN)


def host_state(governor: Path = GOVERNOR) -> State:
    """The state of CPU and memory."""
    try:
        return State(f"governor {governor.read_text().strip()}")
    except OSError:
        return State("governor unknown")


def component_state(component_id: str) -> State:
    """The state of a component by its id."""
    kind, _, uuid = component_id.partition(":")
    return gpu_state(uuid) if kind == "gpu" else host_state()


def _gpu_state(handle: pynvml.c_nvmlDevice_t) -> State:
    persistence = _query(pynvml.nvmlDeviceGetPersistenceMode, handle)
    divided = _query(pynvml.nvmlDeviceGetMigMode, handle)
    level = _query(pynvml.nvmlDeviceGetPerformanceState, handle)
    driver = _query(lambda _: pynvml.nvmlSystemGetDriverVersion(), handle)
    settings = [
        f"driver {driver or 'unknown'}",
        *([] if persistence is None else [f"persistence {'on' if persistence else 'off'}"]),
        *([] if divided is None else [f"MIG {'on' if divided[0] else 'off'}"]),
    ]
    # Versioned names: the unversioned one raises other errors on older drivers.
    processes = _query(pynvml.nvmlDeviceGetComputeRunningProcesses_v3, handle)
    if processes is None:
        processes = _query(pynvml.nvmlDeviceGetComputeRunningProcesses_v2, handle)
    return State(", ".join(settings), "" if level is None else f"P{level}", len(processes or ()))


def _query(ask: Callable[[Any], Any], handle: pynvml.c_nvmlDevice_t) -> Any:
    """The device's response; None where the query is not supported."""
    try:
        return ask(handle)
    except pynvml.NVMLError as error:
        if action_for(error.value) in (Action.NEXT_SOURCE, Action.DEGRADE):
            return None
        raise
