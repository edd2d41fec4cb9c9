"""The power meters, and how the meters of an attempt are chosen."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, get_args

from pricetag.metering.amd_names import is_amd
from pricetag.metering.host_model import host_model, prepare
from pricetag.metering.rapl import RaplSource, powercap_root, scan
from pricetag.metering.source import (
    Component,
    ComponentKind,
    PowerSource,
    Reading,
    UnavailableSource,
)

__all__ = ["Component", "HostModel", "PowerSource", "Reading", "open_sources", "prepare"]

HOST_VARIABLE = "PRICETAG_METER_HOST"

HostMeter = Literal["auto", "rapl", "model", "none"]


class HostModel(Protocol):
    """Makes a source of modelled host components."""

    def __call__(self, *, cpu: bool, ram: bool) -> PowerSource:
        """A source of the requested components."""
        ...


class MeterSettingError(ValueError):
    """A meter setting has an invalid value."""


def open_sources(
    gpu_uuids: Sequence[str],
    include_host: bool = True,
    *,
    environ: Mapping[str, str] | None = None,
    model: HostModel = host_model,
) -> list[PowerSource]:
    """Create the meters of one attempt; cheap, since slow work is left to the meter's opening.

    The host is metered by RAPL where it is readable, otherwise by a model; memory by its RAPL
    zone where the machine has one, otherwise by a model. ``PRICETAG_METER_HOST`` (auto, rapl,
    model, none) overrides this; with ``rapl``, figures that RAPL does not report are null with
    the reason.

    Args:
        gpu_uuids: The attempt's devices.
        include_host: Whether CPU and memory are metered too.
        environ: Used instead of the process's environment.
        model: Makes the model of the host where it has no counter.

    Raises:
        MeterSettingError: If the setting is unknown.
        ValueError: If a device is named twice.
    """
    environ = os.environ if environ is None else environ
    choice = host_choice(environ)
    sources = _gpu_sources(gpu_uuids)
    if not include_host or choice == "none":
        return sources
    if choice == "model":
        return [*sources, model(cpu=True, ram=True)]
    return [*sources, *_rapl_first(choice, environ, model)]


def _gpu_sources(uuids: Sequence[str]) -> list[PowerSource]:
    amd = [uuid for uuid in uuids if is_amd(uuid)]
    others = [uuid for uuid in uuids if not is_amd(uuid)]
    sources: list[PowerSource] = []
    # Imported here, so that a machine without accelerators does not wait for their libraries.
    if others:
        from pricetag.metering.nvml import NvmlSource

        sources.append(NvmlSource(others))
    if amd:
        from pricetag.metering.amd import AmdSource

        sources.append(AmdSource(amd))
    return sources


def host_choice(environ: Mapping[str, str]) -> HostMeter:
    """The requested host meter.

    Raises:
        MeterSettingError: If the variable holds anything else.
    """
    requested = environ.get(HOST_VARIABLE, "auto").strip().lower() or "auto"
    for choice in get_args(HostMeter):
        if requested == choice:
            host_meter: HostMeter = choice
            return host_meter
    raise MeterSettingError(f"{HOST_VARIABLE} is {requested!r}; use auto, rapl, model or none")


def _rapl_first(
    choice: HostMeter, environ: Mapping[str, str], model: HostModel
) -> list[PowerSource]:
    rapl = scan(powercap_root(environ))
    sources: list[PowerSource] = []
    if rapl.packages or rapl.dram:
        # With RAPL alone requested, the model never replaces a failed counter.
        beside = model(cpu=True, ram=True) if choice == "auto" else None
        sources.append(RaplSource(rapl.packages, rapl.dram, model=beside))
    # psys covers the whole platform: its memory must not be modelled again.
    is_whole = any(zone.kind == "psys" for zone in rapl.packages)
    has_cpu, has_ram = bool(rapl.packages), bool(rapl.dram) or is_whole
    if choice == "auto" and not (has_cpu and has_ram):
        sources.append(model(cpu=not has_cpu, ram=not has_ram))
    if choice == "rapl" and not (has_cpu and has_ram):
        ram = None if has_ram else _closed("ram", rapl.dram_reason)
        missed = [_closed("cpu", rapl.reason), ram]
        sources.append(UnavailableSource([component for component in missed if component]))
    return sources


def _closed(kind: ComponentKind, reason: str | None) -> Component | None:
    """A component that only RAPL could meter, but cannot; None where RAPL can."""
    if reason is None:
        return None
    return Component(kind, kind, kind.upper(), "counter", 0.0, None, f"RAPL: {reason}")
