"""Studies on the terminal: a list, one study, and its progress in a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pricetag.cli.views.progress import STYLES
from pricetag.cli.views.tables import ListTable
from pricetag.studies.names import label_of
from pricetag.tag.figures import counted, number, quantity_text
from pricetag.tag.status import status_text

if TYPE_CHECKING:
    from rich.console import RenderableType

STATES = {
    **STYLES,
    "finished": "green",
    "stopped": "dim",
    "waiting": "dim",
}
MOST_TRIALS = 20
FIGURES = {
    "it_energy_kwh": "IT energy",
    "facility_energy_kwh": "Facility energy",
    "co2e_kg": "CO2e",
    "cost": "Cost",
    "flops_dense": "FLOPs",
    "duration_s": "Run time",
}


def studies_view(studies: Sequence[Mapping[str, Any]]) -> ListTable:
    """Studies, one per row."""
    heads = ("Study", "Status", "~Name", "Strategy", ">Trials", ">Runs", "Submitted (UTC)")
    rows = [
        (
            study["id"][:8],
            status_text(study["status"]),
            study["name"],
            study["strategy"],
            f"{study['started_trials']} of {study['planned_trials']}",
            str(study["runs"]),
            str(study["created_at"])[:16].replace("T", " "),
        )
        for study in studies
    ]
    return ListTable(heads, rows, STATES)


def score_text(score: float | None) -> str:
    """A score with four significant digits."""
    return "" if score is None else f"{score:.4g}"


def values_text(values: Mapping[str, Any]) -> str:
    """The values of a trial by the last part of their path."""
    shown = (
        f"{label_of(path)}={value:.4g}" if isinstance(value, float) else f"{label_of(path)}={value}"
        for path, value in values.items()
    )
    return ", ".join(shown)


def progress_line(study: Mapping[str, Any]) -> str:
    """The state of a study in one line."""
    best = study["best"]
    parts = [
        f"{study['name']}: {status_text(study['status'])}",
        f"{study['started_trials']} of {counted(study['planned_trials'], 'trial')}",
        f"{counted(study['runs'], 'run')}, {study['open_runs']} open",
    ]
    if best is not None:
        parts.append(f"best {study['metric']['name']} {score_text(best['score'])}")
    parts.append(quantity_text(study["price_tag"]["it_energy_kwh"]))
    return "  ".join(parts)


def study_view(study: Mapping[str, Any]) -> RenderableType:
    """A study with its rungs, its trials, its price tag and what it saved."""
    from rich.console import Group
    from rich.text import Text

    status = status_text(study["status"])
    parts: list[RenderableType] = [
        Text.assemble((study["name"], "bold"), "  ", (status, STATES.get(status, ""))),
        Text(
            f"{study['id']}  {study['project']} / {study['experiment']}  {study['strategy']}",
            style="dim",
        ),
    ]
    if study["status_reason"]:
        parts.append(Text(study["status_reason"]["message"], style="yellow"))
    sections = (_rungs, _trials, _price_tag, _ensemble, _power_sweep)
    for section in (make(study) for make in sections):
        if not section:
            continue
        parts += [Text(""), *section]
    parts += [Text(line) for line in _remarks(study)]
    return Group(*parts)


def _rungs(study: Mapping[str, Any]) -> list[RenderableType]:
    rows = [
        (
            str(bracket["number"]),
            str(rung["rung"]),
            "" if rung["resource"] is None else f"{rung['resource']:g}",
            str(rung["planned_trials"]),
            str(rung["done_trials"]),
            str(rung["open_trials"]),
            str(rung["failed_trials"]),
            str(rung["canceled_trials"]),
        )
        for bracket in study["brackets"]
        for rung in bracket["rungs"]
    ]
    heads = ("Bracket", ">Rung", ">Resource", ">Trials", ">Done", ">Open", ">Failed", ">Canceled")
    return [ListTable(heads, rows)]


def _trials(study: Mapping[str, Any]) -> list[RenderableType]:
    from rich.text import Text

    sign = -1 if study["metric"]["goal"] == "maximize" else 1
    order = sorted(
        study["trials"],
        key=lambda trial: (
            trial["score"] is None,
            sign * (trial["score"] or 0.0),
            trial["number"],
        ),
    )
    rows = [
        (
            str(trial["number"]),
            status_text(trial["state"]),
            score_text(trial["score"]),
            values_text(trial["values"]),
            ", ".join(
                str(run["run_id"])[:8] if run["run_id"] else "not submitted"
                for run in trial["runs"]
            ),
        )
        for trial in order[:MOST_TRIALS]
    ]
    if not rows:
        return [Text("No trial has started.")]
    heads = (">Trial", "State", f">{study['metric']['name']}", "~Values", "Runs by rung")
    more = len(order) - len(rows)
    note = [Text(f"and {counted(more, 'trial')} more: --json has them")] if more else []
    return [ListTable(heads, rows, STATES), *note]


def _price_tag(study: Mapping[str, Any]) -> list[RenderableType]:
    best = study["best"]
    heads = ["", ">Study"] + ([f">Trial {best['trial']} alone"] if best else [])
    rows = []
    for name, label in FIGURES.items():
        cells = [label, quantity_text(study["price_tag"][name])]
        unknown = study["price_tag"]["unknown_runs"].get(name)
        if unknown and study["price_tag"][name]["value"] is not None:
            known = cells[1].removeprefix("at least ")
            cells[1] = f"at least {known}; {counted(unknown, 'run')} unknown"
        if best:
            cells.append(quantity_text(best["price_tag"][name]))
        rows.append(cells)
    return [ListTable(heads, rows)]


def _ensemble(study: Mapping[str, Any]) -> list[RenderableType]:
    from rich.text import Text

    from pricetag.studies.ensemble import ensemble_note

    ensemble = study.get("ensemble")
    if ensemble is None:
        return []
    heads = (">Members", ">Accuracy", ">Energy to make them", ">Energy to evaluate the split")
    rows = [
        (
            str(point["members"]),
            quantity_text({**point["accuracy"], "source": None}),  # scored, by no counter
            *(quantity_text(point[name]) for name in ("making_kwh", "inference_kwh")),
        )
        for point in ensemble["points"]
    ]
    return [*([ListTable(heads, rows)] if rows else []), Text(ensemble_note(ensemble))]


def _power_sweep(study: Mapping[str, Any]) -> list[RenderableType]:
    from rich.text import Text

    from pricetag.studies.power_sweep import power_note

    sweep = study.get("power_sweep")
    if sweep is None:
        return []
    heads = (">Limit (W)", ">IT energy", ">Time", f">{study['metric']['name']}", ">Cost (J)")
    rows = [
        (
            f"{point['limit_w']:g}",
            quantity_text(point["it_energy_kwh"]),
            quantity_text(point["duration_s"]),
            score_text(point["score"]),
            point["reason"] if point["cost_j"] is None else number(point["cost_j"]),
        )
        for point in sweep["points"]
    ]
    return [*([ListTable(heads, rows)] if rows else []), Text(power_note(sweep))]


def _remarks(study: Mapping[str, Any]) -> Iterator[str]:
    best, saved = study["best"], study["saved"]
    if best is not None:
        score = f"{study['metric']['name']} {score_text(best['score'])}"
        yield f"Best: trial {best['trial']}, {score}, {values_text(best['values'])}"
    if saved is not None and saved["stopped_trials"]:
        energy = quantity_text(saved["it_energy_kwh"])
        stopped = counted(saved["stopped_trials"], "stopped trial")
        yield f"Energy saved by not running every trial to the end: {energy}, {stopped}"
    for limit in study["budget"]:
        unit, unknown = limit["unit"], limit["unknown_runs"]
        amounts = f"{limit['used']:.4g} used, {limit['reserved']:.4g} reserved"
        rest = f", {counted(unknown, 'run')} of unknown use" if unknown else ""
        yield f"Budget: {limit['limit']:g} {unit}, {amounts}{rest}"
