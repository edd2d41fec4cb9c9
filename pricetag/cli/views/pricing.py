"""Versions, verifications and comparisons of price tags on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pricetag.cli.views.tables import new_table
from pricetag.tag.figures import (
    Unit,
    column_unit,
    not_available,
    number,
    quantity_text,
    with_unit,
)
from pricetag.tag.view import as_of_text

if TYPE_CHECKING:
    from rich.console import RenderableType

MARKS = {"ok": "ok", "differs": "DIFFERS", "not-checked": "not checked"}
OUTCOMES = {
    "verified": "verified",
    "not-fully-checked": "no difference found, but not everything could be checked",
    "differs": "NOT verified, first difference",
}
OFFLINE = "no difference found, but readings and arithmetic were not checked: that needs the server"
NO_DIFFERENCE = "Recipes, code, hardware, software and environment variables are the same."
METRICS = {
    "it_energy_kwh": "IT energy",
    "facility_energy_kwh": "Facility energy",
    "co2e_kg": "CO2e",
    "cost": "Cost",
    "duration_s": "Time",
}


def version_lines(version: Mapping[str, Any]) -> Iterator[str]:
    """A version of a price tag that was just issued, and its uses."""
    as_of = version.get("as_of")
    when = f"as of {as_of_text(as_of)}" if as_of else "with today's factors"
    co2e, energy = quantity_text(version["co2e_kg"]), quantity_text(version["facility_energy_kwh"])
    yield f"version {version['version']}, {when}: facility energy {energy}, CO2e {co2e}"
    yield (
        "It is the newest version now: show, report and compare use it. Earlier ones: "
        "pricetag show RUN --version N, pricetag report RUN@N"
    )


def verification_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Each step of a verification under its subject, then the outcome."""
    of_file = [step for step in report["steps"] if step["of"] == "itself"]
    stored = [step for step in report["steps"] if step["of"] == "stored"]
    name = f"version {report['version']} of {report['run_id']}"
    if report["is_file"]:
        yield "The file:"
    yield from map(_step_line, of_file)
    if report["is_file"] and stored:
        same = any(step["step"] == "as-issued" and step["status"] == "ok" for step in of_file)
        about = "identical to the file" if same else "different from the file"
        keeper = "this machine" if report.get("is_local") else "the server"
        yield f"Version {report['version']} as {keeper} stores it, {about}:"
    yield from map(_step_line, stored)
    subject = f"the file, as {name}" if report["is_file"] else name
    end = f": {report['first_difference']}" if report["first_difference"] else ""
    offline = report["is_file"] and not stored and report["outcome"] == "not-fully-checked"
    yield f"{subject}: {OFFLINE if offline else OUTCOMES[report['outcome']]}{end}"


def _step_line(step: Mapping[str, Any]) -> str:
    return f"{MARKS[step['status']]:<12} {step['step']:<13} {step['detail']}"


def comparison_view(comparison: Mapping[str, Any]) -> RenderableType:
    """The groups with their means, the ratios to b, and the reasons for their errors."""
    from rich.console import Group
    from rich.text import Text

    unit = str(comparison["unit"])
    others = comparison.get("others") or ()
    sides = {name: comparison[name] for name in ("a", "b")}
    sides |= {str(other["group"]): other["side"] for other in others}
    shown = column_unit([group["mean"] for group in sides.values()], unit)
    metric = METRICS.get(comparison["metric"], comparison["metric"])
    table = new_table("", "Runs", f">{metric}", ">95% interval", ">Std. dev.")
    for side, group in sides.items():
        names = ", ".join(dict.fromkeys(str(run["name"]) for run in group["runs"]))
        figures = _mean_texts(group, unit, shown)
        table.add_row(side, Text(f"{len(group['runs'])}: {names}"), *map(Text, figures))
    lines = [*_against_lines("a", comparison)]
    for other in others:
        lines += ["", *_against_lines(str(other["group"]), other)]
    return Group(table, Text(""), *(Text(line) for line in lines))


def _mean_texts(group: Mapping[str, Any], unit: str, shown: Unit) -> tuple[str, str, str]:
    """Mean, interval and standard deviation of a group; servers of earlier versions send less."""
    own = str(group.get("unit") or unit)
    of_own = shown if own == unit else None
    if group["mean"] is None:
        return "n/a", "", ""
    mean, std = group.get("mean_figure") or {}, group.get("std")
    ends = [float(mean[end]) for end in ("low", "high") if mean.get(end) is not None]
    interval = " to ".join(with_unit(end, own, of_own) for end in ends) if len(ends) == 2 else ""
    spread = "" if std is None else with_unit(std, own, of_own)
    return with_unit(group["mean"], own, of_own), interval, spread


def _against_lines(side: str, compared: Mapping[str, Any]) -> Iterator[str]:
    """Lines about a group compared with b."""
    yield _ratio_text(side, compared)
    if compared.get("verdict"):
        yield str(compared["verdict"])
    for item in compared.get("quality") or ():
        yield _quality_text(side, item)
    yield from _ticket_lines(compared)
    differences = compared.get("differences")
    yield from (f"Difference: {line}" for line in differences or ())
    if differences == []:
        yield NO_DIFFERENCE
    yield from (f"Errors do not cancel: {reason}" for reason in compared["reasons"])
    yield from (f"Note: {note}" for note in compared["notes"])


def _ratio_text(side: str, comparison: Mapping[str, Any]) -> str:
    ratio = comparison["ratio"]
    if ratio["value"] is None:
        return f"{side} / b: {not_available(ratio['reason'])}"
    text = f"{side} / b: {number(float(ratio['value']))}"
    if ratio["low"] is None:
        return f"{text} (no interval: {ratio['reason']})"
    ends = f"{number(float(ratio['low']))} to {number(float(ratio['high']))}"
    return f"{text} (95%: {ends}; {comparison['method']})"


def _quality_text(side: str, item: Mapping[str, Any]) -> str:
    split = f" ({item['split']})" if item["split"] else ""
    sides = f"{side} {_score_text(item['a'])}, b {_score_text(item['b'])}"
    if item["within_one_std"] is None:
        return f"{item['metric']}{split}: {sides}; no verdict: {item['reason']}"
    verdict = "within" if item["within_one_std"] else "not within"
    return f"{item['metric']}{split}: {sides}; {side} is {verdict} one standard deviation of b"


def _score_text(side: Mapping[str, Any]) -> str:
    spread = "" if side["std"] is None else f" ± {side['std']:.4f}"
    seeds = f"{side['seeds']} seed" + ("" if side["seeds"] == 1 else "s")
    return f"{side['mean']:.4f}{spread} ({seeds})"


def _ticket_lines(comparison: Mapping[str, Any]) -> Iterator[str]:
    """The verdict on lottery tickets; nothing where none are compared."""
    winning = comparison.get("winning_ticket")
    if winning is not None:
        yield f"Winning ticket: {'yes' if winning else 'no'}"
