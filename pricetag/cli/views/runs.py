"""Runs on the terminal: a list, or the head of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pricetag.cli.views.progress import STYLES, RunProgress, waiting_text
from pricetag.cli.views.tables import ListTable
from pricetag.one_line import one_line
from pricetag.tag.figures import Unit, column_number, column_unit, counted
from pricetag.tag.green import green_text
from pricetag.tag.measured import LOCAL, QUEUE, measured_text
from pricetag.tag.status import status_text

if TYPE_CHECKING:
    from rich.console import RenderableType


MOST_REASONS = 5
MAX_REASON = 200


def runs_view(runs: Sequence[Mapping[str, Any]]) -> ListTable:
    """Runs, one per row; commands accept the short id. A column has the origins, if any differs."""
    tags = [run.get("price_tag") or {} for run in runs]
    energy, co2e = (
        column_unit((tag.get(name) for tag in tags), unit)
        for name, unit in (("it_energy_kwh", "kWh"), ("co2e_kg", "kg"))
    )
    origins = [run.get("origin", QUEUE) for run in runs]
    is_local = any("pushed" in run for run in runs)
    has_origins = any(origin != (LOCAL if is_local else QUEUE) for origin in origins)
    origin_head = ("Origin",) if has_origins else ()
    pushed_head = ("Pushed (UTC)",) if is_local else ()
    time_head = "Started (UTC)" if is_local else "Submitted (UTC)"
    heads = ("Run", "Status", *origin_head, "~Name", time_head, ">IT energy", ">CO2e")
    heads += pushed_head
    rows = []
    for run, tag, origin in zip(runs, tags, origins, strict=True):
        rows.append(
            (
                run["id"][:8],
                status_text(run["status"]),
                *((origin,) if origin_head else ()),
                run["name"],
                str(run["created_at"])[:16].replace("T", " "),
                _figure(run, tag.get("it_energy_kwh"), energy),
                _figure(run, tag.get("co2e_kg"), co2e),
                *((_pushed(run["pushed"]),) if is_local else ()),
            )
        )
    return ListTable(heads, rows, STYLES)


def _pushed(pushes: Sequence[Mapping[str, Any]]) -> str:
    """The newest push of a local run, with its host."""
    if not pushes:
        return "no"
    newest = max(pushes, key=lambda push: str(push["at"]))
    host = str(newest["url"]).partition("://")[2]
    return f"{str(newest['at'])[:16].replace('T', ' ')} {host}"


def run_view(run: Mapping[str, Any]) -> RenderableType:
    """A run's project, state and reason."""
    from rich.console import Group
    from rich.text import Text

    style = STYLES.get(run["status"], "")
    lines = [
        Text.assemble((run["name"], "bold"), "  ", (status_text(run["status"]), style)),
        Text(f"{run['id']}  {run['project']} / {run['experiment']}  {run['kind']}", style="dim"),
    ]
    if (origin := run.get("origin", QUEUE)) != QUEUE:
        text = measured_text(origin, run.get("measured_by"))
        lines.append(Text(f"Origin {origin}: {text}", style="dim"))
    reason = run.get("status_reason")
    if reason:
        where = f"{reason['field']}: " if reason.get("field") else ""
        lines.append(Text(f"{where}{reason.get('message')}", style="yellow"))
    if (green := run.get("green_start")) is not None:
        lines.append(Text(f"Start: {green_text(green)}", style="dim"))
    if (wait := waiting_text(run)) is not None:
        lines.append(Text(wait, style="yellow"))
    if run["status"] == "running":
        lines += [Text(line) for line in _running(run)]
    lines += [Text(line, style="yellow") for line in _dropped(run.get("attempts") or ())]
    return Group(*lines, Text(""))


def _running(run: Mapping[str, Any]) -> Iterator[str]:
    """The start of a running run, and what its current stage has done and used so far."""
    if run.get("started_at"):
        yield f"Running since {str(run['started_at'])[:16].replace('T', ' ')} UTC"
    progress = RunProgress(run["name"], ())
    progress.update("progress", run.get("progress") or {})
    if details := progress.details():
        yield " | ".join(details)


def _dropped(attempts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Remarks of the jobs that the figures do not contain, by attempt."""
    for attempt in attempts:
        where = f"Attempt {attempt['number']}: " if len(attempts) > 1 else ""
        for kind, count in (attempt.get("left_out") or {}).items():
            noun = str(kind).replace("_", " ")
            yield f"{where}{count:,} {noun} were dropped, beyond the limits of an attempt"
        rejected = attempt.get("rejected")
        if rejected:
            yield f"{where}{counted(rejected['count'], 'report')} of the job rejected:"
            reasons = rejected["reasons"]
            for item in reasons[:MOST_REASONS]:
                times = f" ({item['count']:,} times)" if item["count"] > 1 else ""
                yield f"  {one_line(item['reason'], MAX_REASON)}{times}"
            if len(reasons) > MOST_REASONS:
                yield f"  and {len(reasons) - MOST_REASONS} more reasons: --json has them"


def _figure(run: Mapping[str, Any], value: float | None, shown: Unit) -> str:
    if value is None:
        return ""
    so_far = " so far" if run["status"] in {"queued", "running"} else ""  # earlier attempts
    return f"{column_number(value / shown[1])} {shown[0]}{so_far}"
