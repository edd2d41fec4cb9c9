"""CodeCarbon's offline tracker, without its configuration, with its errors raised.

Imported on first use, because it loads CodeCarbon. Written against the pinned version 3.3.2;
it uses private parts of the library, each of which is checked by a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from codecarbon import OfflineEmissionsTracker
from codecarbon.external.hardware import GPU

from pricetag.metering.codecarbon_figures import Figures

COUNTRY_ISO_CODE = "FRA"
"""The tracker insists on a country. Its carbon figure is not used: Pricetag has its own."""

MEASURE_EVERY_S = 15.0

BLIND = "CodeCarbon sees no GPU: it looks for nvidia-smi"
NOT_ASKED = "no GPU: the attempt held none, and CodeCarbon was asked for none"


class _ClosedTracker(OfflineEmissionsTracker):
    """The tracker without configuration files and variables.

    ``__init__`` and ``start`` of the original swallow every exception; here their undecorated
    bodies run, so that a failure has a reason.
    """

    def __init__(self, gpu_indices: Sequence[int], **options: Any) -> None:
        self._gpu_indices = list(gpu_indices)
        _undecorated(OfflineEmissionsTracker.__init__)(self, gpu_ids=self._gpu_indices, **options)

    def _set_from_conf(self, *args: Any, **kwargs: Any) -> Any:
        """Every argument passes here; values from files and variables are dropped."""
        self._external_conf: dict[str, Any] = {}
        return super()._set_from_conf(*args, **kwargs)  # type: ignore[no-untyped-call]

    def _initialize_hardware_tracking(self) -> None:
        """Without devices of its own a job is charged for none.

        The original no longer distinguishes "no device" from "every device" once it has
        cached its devices.
        """
        super()._initialize_hardware_tracking()
        if not self._gpu_indices:
            self._hardware = [item for item in self._hardware if not isinstance(item, GPU)]

    @property
    def sees_devices(self) -> bool:
        """Whether it tracks any device."""
        return any(isinstance(item, GPU) for item in self._hardware)


class CodeCarbonTracker:
    """CodeCarbon over one attempt.

    Args:
        gpu_indices: NVML indices of the attempt's devices.
    """

    def __init__(self, gpu_indices: Sequence[int]) -> None:
        self._wants_devices = bool(gpu_indices)
        self._tracker = _ClosedTracker(
            gpu_indices,
            country_iso_code=COUNTRY_ISO_CODE,
            output_methods=[],
            pue=1.0,
            wue=0.0,
            allow_multiple_runs=True,
            log_level="error",
            tracking_mode="machine",
            measure_power_secs=MEASURE_EVERY_S,
        )

    def start(self) -> None:
        """Begin.

        Raises:
            Exception: Whatever CodeCarbon raises.
        """
        _undecorated(OfflineEmissionsTracker.start)(self._tracker)

    def stop(self) -> Figures:
        """Stop and return the figures.

        Raises:
            Exception: Whatever CodeCarbon raises.
        """
        _undecorated(OfflineEmissionsTracker.stop)(self._tracker)
        data = self._tracker.final_emissions_data
        sees_none = not self._tracker.sees_devices
        is_blind = self._wants_devices and sees_none
        return Figures(
            duration_s=float(data.duration),
            cpu_kwh=float(data.cpu_energy),
            gpu_kwh=None if sees_none else float(data.gpu_energy),
            ram_kwh=float(data.ram_energy),
            energy_kwh=None if is_blind else float(data.energy_consumed),
            reason=(BLIND if is_blind else NOT_ASKED) if sees_none else None,
        )


def _undecorated(function: Any) -> Any:
    """A method without the decorator that swallows its exceptions."""
    return function.__wrapped__
