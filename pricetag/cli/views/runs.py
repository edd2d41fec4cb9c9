"""Runs on the terminal: a list, or the head of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pricetag.cli.views.progress import STYLES
from pricetag.tag.figures import with_unit

if TYPE_CHECKING:
    from rich.console import RenderableType


def runs_view(runs: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Runs, one a row; the id is short, as commands take it."""
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for head in ("Run", "Status", "Name", "Posted (UTC)"):
        table.add_column(Text(head), no_wrap=head != "Name", overflow="fold")
    for head in ("Energy", "CO2e"):
        table.add_column(Text(head), no_wrap=True, justify="right")
    for run in runs:
        tag = run.get("price_tag") or {}
        table.add_row(
            Text(run["id"][:8]),
            Text(run["status"], style=STYLES.get(run["status"], "")),
            Text(run["name"]),
            Text(str(run["created_at"])[:16].replace("T", " ")),
            Text(_figure(tag.get("it_energy_kwh"), "kWh")),
            Text(_figure(tag.get("co2e_kg"), "kg")),
        )
    return table


def run_view(run: Mapping[str, Any]) -> RenderableType:
    """A run's project, state and reason."""
    from rich.console import Group
    from rich.text import Text

    style = STYLES.get(run["status"], "")
    lines = [
        Text.assemble((run["name"], "bold"), "  ", (run["status"], style)),
        Text(f"{run['id']}  {run['project']} / {run['experiment']}  {run['kind']}", style="dim"),
    ]
    reason = run.get("status_reason")
    if reason:
        where = f"{reason['field']}: " if reason.get("field") else ""
        lines.append(Text(f"{where}{reason.get('message')}", style="yellow"))
    return Group(*lines, Text(""))


def _figure(value: float | None, unit: str) -> str:
    return "" if value is None else with_unit(value, unit)
