"""CodeCarbon's own figure for an attempt, beside ours, which it never replaces."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypedDict

from pricetag.metering import codecarbon_parts
from pricetag.metering.amd_devices import list_amd_devices
from pricetag.metering.codecarbon_figures import Figures
from pricetag.metering.nvml_devices import MIG_PREFIX, list_devices
from pricetag.metering.nvml_errors import LibraryUnavailableError

logger = logging.getLogger(__name__)

TOOL = "codecarbon"

STOP_TIMEOUT_S = 1.0
"""Maximum wait for a second opinion at a job's end, in s."""

MAX_REASON = 500
"""Maximum length of CodeCarbon's failure message, in characters."""

NO_REASON = "CodeCarbon gave no figure and no reason"

ENERGIES: tuple[Literal["cpu_kwh", "gpu_kwh", "ram_kwh", "energy_kwh"], ...] = (
    "cpu_kwh",
    "gpu_kwh",
    "ram_kwh",
    "energy_kwh",
)


class OpinionRecord(TypedDict):
    """The fields of the journal's ``second_opinion`` record; energies in kWh, without PUE."""

    tool: str
    version: str | None
    duration_s: float | None
    cpu_kwh: float | None
    gpu_kwh: float | None
    ram_kwh: float | None
    energy_kwh: float | None
    reason: str | None


class Tracker(Protocol):
    """A running second opinion."""

    def start(self) -> None:
        """Begin; an exception becomes the reason."""
        ...

    def stop(self) -> Figures:
        """Stop and return the figures."""
        ...


class SecondOpinion:
    """Runs CodeCarbon's offline tracker beside an attempt, in its own thread.

    Nothing it does can end, delay (beyond :data:`STOP_TIMEOUT_S`) or change the attempt; where
    it fails its figures are null with the reason.

    Args:
        gpu_uuids: The attempt's devices; none means that it has no device.
        make_tracker: Creates the tracker from NVML indices; CodeCarbon's by default.
    """

    def __init__(
        self,
        gpu_uuids: Sequence[str] = (),
        *,
        make_tracker: Callable[[Sequence[int]], Tracker] | None = None,
    ) -> None:
        self._gpu_uuids = tuple(gpu_uuids)
        self._make_tracker = make_tracker
        self._stop = threading.Event()
        self._done = threading.Event()
        self._figures: Figures | None = None
        self._reason: str | None = None
        self._is_started = False

    def start(self) -> None:
        """Begin; returns at once."""
        if self._is_started:
            raise RuntimeError("a second opinion can be started only once")
        self._is_started = True
        thread = threading.Thread(target=self._run, name="second-opinion", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system cannot start another thread
            self._reason = f"it could not be started: {error}"
            self._done.set()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> dict[str, Any]:
        """Stop it and return the fields of its record, within ``timeout_s``."""
        self._stop.set()
        if not self._is_started:
            return dict(_record(None, "it was not started"))
        if not self._done.wait(timeout_s):
            return dict(_record(None, f"CodeCarbon did not answer within {timeout_s:g} s"))
        return dict(_record(self._figures, self._reason))

    def _run(self) -> None:
        try:
            self._figures = self._track()
        except BaseException as error:  # no failure of CodeCarbon may end the attempt
            self._reason = f"CodeCarbon failed: {type(error).__name__}: {error}"[:MAX_REASON]
            logger.info("second opinion: %s", self._reason)
        finally:
            self._done.set()

    def _track(self) -> Figures | None:
        if self._make_tracker is None and not codecarbon_parts.is_installed():
            self._reason = codecarbon_parts.MISSING
            return None
        make = self._make_tracker or _codecarbon_tracker
        tracker = make(_indices(self._gpu_uuids))
        tracker.start()
        self._stop.wait()
        return tracker.stop()


def _codecarbon_tracker(gpu_indices: Sequence[int]) -> Tracker:
    codecarbon_parts.load("codecarbon")
    from pricetag.metering.codecarbon_tracker import CodeCarbonTracker

    return CodeCarbonTracker(gpu_indices)


def _indices(uuids: Sequence[str]) -> list[int]:
    """CodeCarbon's indices of the devices: from 0 for each vendor."""
    if not uuids:
        return []
    if any(uuid.startswith(MIG_PREFIX) for uuid in uuids):
        raise NvmlIndexError("CodeCarbon cannot report a MIG slice's share")
    try:
        nvidia, amd = list_devices(), list_amd_devices()
    except LibraryUnavailableError as error:
        raise NvmlIndexError(str(error)) from error
    if nvidia and amd:
        raise NvmlIndexError("CodeCarbon takes NVIDIA's and AMD's devices for one another")
    by_uuid = {device.uuid: device.index for device in [*nvidia, *amd]}
    missing = [uuid for uuid in uuids if uuid not in by_uuid]
    if missing:
        raise NvmlIndexError(f"NVML does not know {', '.join(missing)}")
    return [by_uuid[uuid] for uuid in uuids]


class NvmlIndexError(LookupError):
    """A device has no index for CodeCarbon."""


def _record(figures: Figures | None, reason: str | None) -> OpinionRecord:
    nothing = Figures(
        duration_s=0.0, cpu_kwh=None, gpu_kwh=None, ram_kwh=None, energy_kwh=None, reason=reason
    )
    fields = nothing if figures is None else _plausible(figures)
    return OpinionRecord(
        tool=TOOL,
        version=_version(),
        duration_s=fields["duration_s"] if figures else None,
        cpu_kwh=fields["cpu_kwh"],
        gpu_kwh=fields["gpu_kwh"],
        ram_kwh=fields["ram_kwh"],
        energy_kwh=fields["energy_kwh"],
        reason=fields["reason"] or (None if figures else NO_REASON),
    )


def _plausible(figures: Figures) -> Figures:
    """The figures, without implausible energies."""
    plausible = figures.copy()
    odd = [name for name in ENERGIES if not _is_energy(plausible[name])]
    for name in odd:
        plausible[name] = None
    if odd:
        plausible["reason"] = f"implausible energies from CodeCarbon: {', '.join(odd)}"
    return plausible


def _is_energy(kwh: float | None) -> bool:
    return kwh is None or (math.isfinite(kwh) and kwh >= 0)


def _version() -> str | None:
    try:
        return codecarbon_parts.installed_version() if codecarbon_parts.is_installed() else None
    except Exception:  # a broken installation: the figures carry the reason
        return None
