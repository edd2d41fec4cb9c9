"""The meters of one attempt, and the job's share of hardware used by several jobs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pynvml

from pricetag.metering import Component, HostModel, Reading, open_sources
from pricetag.metering.activity import Activity, HostActivity, ProcessTree
from pricetag.metering.activity_gpu import ProcessUse, SliceUse, has_slice_use, is_host_namespace
from pricetag.metering.activity_share import ActivityNotes
from pricetag.metering.amd_names import is_amd
from pricetag.metering.baselines import Baseline, choose
from pricetag.metering.host_model import host_model
from pricetag.metering.mig import divided_name, slices_of
from pricetag.metering.nvml_devices import Device, Slice
from pricetag.metering.states import State, component_state

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Devices:
    """The device set of one attempt.

    Attributes:
        uuids: UUIDs that are visible to CUDA.
        described: Devices in the attempt's record.
        slices: The MIG slices among them.
        jobs_per_device: Number of jobs that may share a whole device.
        host_ratio: Share of the host that is reserved for the job.
        is_host_taken: Whether another job has reserved all of the host.
        baselines: Known idle powers of this machine.
    """

    uuids: tuple[str, ...]
    described: tuple[dict[str, Any], ...] = ()
    slices: tuple[Slice, ...] = ()
    jobs_per_device: int = 1
    host_ratio: float = 1.0
    is_host_taken: bool = False
    baselines: tuple[Baseline, ...] = ()

    def metered(self) -> list[str]:
        """UUIDs of the whole devices that are metered, each once."""
        parents = {piece.uuid: piece.parent for piece in self.slices}
        return list(dict.fromkeys(parents.get(uuid, uuid) for uuid in self.uuids))

    def component_ids(self) -> list[str]:
        """Ids of the devices' components."""
        return [f"gpu:{uuid}" for uuid in self.metered()]

    def slices_by_component(self) -> dict[str, list[Slice]]:
        """The held slices of each divided device."""
        by_component: dict[str, list[Slice]] = {}
        for piece in self.slices:
            by_component.setdefault(f"gpu:{piece.parent}", []).append(piece)
        return by_component


def describe(devices: Sequence[Device]) -> tuple[dict[str, Any], ...]:
    """Devices for the attempt's record."""
    return tuple({"uuid": device.uuid, "name": device.name} for device in devices)


class JobMeters:
    """Opens the meters of an attempt and determines the job's share of each.

    Args:
        devices: Devices of the attempt.
        marks: ``NAME=value`` pairs in the environment of each of the job's processes.
        model: Makes the model of the host where it has no counter.
        early_s: How much earlier than its first process other processes of the job may begin.
    """

    def __init__(
        self,
        devices: Devices,
        marks: Sequence[bytes] = (),
        model: HostModel = host_model,
        early_s: float = 0.0,
    ) -> None:
        self.sources = open_sources(devices.metered(), model=model)
        self._devices = devices
        self._tree = ProcessTree(marks, early_s=early_s)
        self._host = HostActivity(self._tree)
        self._notes = ActivityNotes({})

    def adopt(self, pid: int) -> None:
        """Begin with the job's first process."""
        self._tree.adopt(pid)

    def ended(self, pid: int, cpu_s: float | None) -> None:
        """Add the CPU time of the job's first process and of the children it waited for."""
        if cpu_s is not None:
            self._tree.ended(pid, cpu_s)

    def share(self, components: Iterable[Component], t_s: float) -> list[Component]:
        """The components with the job's share of each, once the meter is open.

        Args:
            components: Components of the meter.
            t_s: Current time of the meter, in s.
        """
        activities: dict[str, Activity] = {}
        shared = []
        for component in components:
            component_share = with_baseline(component, self._devices.baselines)
            is_gpu = component.kind == "gpu"
            component_share, activity = (
                self._share_gpu(component_share) if is_gpu else self._share_host(component_share)
            )
            if activity is not None:
                activities[component.id] = activity
            shared.append(component_share)
        self._notes = ActivityNotes(activities)
        self._notes.begin(t_s)
        return shared

    def note(self, readings: list[Reading]) -> None:
        """Adds to readings the activity of their time."""
        self._notes.note(readings)

    def close(self) -> None:
        """Close the activity sources."""
        self._notes.close()

    def _share_host(self, component: Component) -> tuple[Component, Activity | None]:
        """CPU and memory are shared by CPU time.

        A machine that is reserved as a whole and has no known idle power is charged in full to
        the job that reserved it, like a device.
        """
        ratio = self._devices.host_ratio
        is_whole = ratio >= 1.0 or self._devices.is_host_taken
        is_shared = not is_whole or component.baseline_w is not None
        return replace(component, reserved_ratio=ratio), self._host if is_shared else None

    def _share_gpu(self, component: Component) -> tuple[Component, Activity | None]:
        slices = self._devices.slices_by_component().get(component.id)
        if slices:
            return _divided(component, slices)
        jobs = self._devices.jobs_per_device
        if jobs == 1:
            return component, None
        shared = replace(component, reserved_ratio=component.reserved_ratio / jobs)
        if is_amd(_uuid(component)):
            return _noted(shared, "shared by processes, whose use is not read from AMD SMI"), None
        if not is_host_namespace():
            why = "shared by processes; NVML reports their IDs on the host, not in this container"
            return _noted(shared, why), None
        note = f"shared by up to {jobs} jobs, by the use of their processes"
        return _noted(shared, note), ProcessUse(_uuid(component), self._host.pids)


def with_baseline(
    component: Component,
    baselines: Sequence[Baseline],
    state_of: Callable[[str], State] = component_state,
) -> Component:
    """The component with its idle power in its current state.

    A model includes its own power at no load.
    """
    if component.method == "modelled":
        return component
    power_w, note = choose(baselines, component.id, state_of(component.id))
    return replace(component, baseline_w=power_w, baseline_note=note)


def _divided(component: Component, slices: Sequence[Slice]) -> tuple[Component, Activity | None]:
    """The job's slices of a divided device."""
    parent = _uuid(component)
    ratio = sum(piece.ratio for piece in slices)
    named = divided_name(component.name, slices)
    share = replace(component, name=named, reserved_ratio=min(ratio, 1.0))
    if not all(piece.is_whole_instance for piece in slices):
        return _noted(share, "a part of a MIG instance: its use is not measured separately"), None
    if not has_slice_use(parent):
        return _noted(share, "MIG: this device does not report the use of its slices"), None
    try:
        everybody = slices_of(parent)
    except pynvml.NVMLError as error:
        return _noted(share, f"MIG: the other slices could not be read: {error}"), None
    return _noted(share, "MIG: by the use of its slices"), SliceUse(parent, slices, everybody)


def _noted(component: Component, note: str) -> Component:
    return replace(component, notes="; ".join(part for part in (component.notes, note) if part))


def _uuid(component: Component) -> str:
    return component.id.removeprefix("gpu:")
