"""What a machine can meter, on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pricetag.tag.figures import with_unit

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pricetag.metering.doctor import DoctorReport


def _host_meter(setting: str) -> str:
    meter = "the best one available" if setting == "auto" else setting
    return f"{meter} (PRICETAG_METER_HOST={setting})"


def doctor_view(report: DoctorReport, settings_fault: str | None = None) -> RenderableType:
    """Every meter, whether it is available, the command that enables it; then invalid settings."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    host = report.host
    memory = "" if host.memory_bytes is None else f", {with_unit(host.memory_bytes, 'bytes')}"
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for meter in report.meters:
        detail = Text(meter.detail)
        if meter.command:
            detail.append(f"\ntry: {meter.command}", style="bold")
        mark = ("available", "green") if meter.available else ("unavailable", "yellow")
        table.add_row(Text(meter.name, style="bold"), Text(*mark), detail)
    lines: list[RenderableType] = [
        Text(f"{host.name}: {host.cpu}, {host.cores} cores{memory}"),
        Text(f"{host.system}, Python {host.python}", style="dim"),
        Text(""),
        table,
        Text(""),
        Text(f"Meter of CPU and memory: {_host_meter(report.host_meter)}"),
    ]
    for device in report.devices:
        lines.append(Text(f"{device.name}  {device.uuid}"))
    if report.visible_devices is not None:
        lines.append(Text(f"CUDA_VISIBLE_DEVICES is {report.visible_devices!r}"))
    if settings_fault is not None:
        lines += [Text(""), Text(f"No server or worker starts here: {settings_fault}", style="red")]
    return Group(*lines)
