"""A paper's runs, its computational budget, and the hashes of its price tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from app.reports.cells import Notes, column_unit
from app.reports.sections.published import NO_RUNS
from app.reports.shape import Row, Section, Table, column, row, table
from pricetag.tag.figure import Figure, figure_of
from pricetag.tag.figures import counted, money, number, percent, with_unit
from pricetag.tag.measured import QUEUE, measured_text
from pricetag.tag.trials import summed_text

Content = Mapping[str, Any]
ALL = "All runs"


def selection_section(content: Content) -> Section:
    """Which runs are in the report, and which are not, with reasons."""
    runs, missing = content["runs"], content["not_counted"]
    if not runs and not missing:
        return _without_runs(content)
    failed = sum(run["status"] != "succeeded" for run in runs)
    paragraphs = [
        f"This report covers {counted(len(runs), 'run')}, of which {failed} failed or were "
        f"canceled; they count like all others. {_how(content)}",
        _frozen(content),
    ]
    tables = []
    if missing:
        rows = [row(each["name"], each["run_id"], each["reason"]) for each in missing]
        columns = [column("Run", weight=1.5), column("ID", weight=2), column("Reason", weight=2)]
        tables.append(table("not-counted", "Runs that are not counted", columns, rows))
    else:
        paragraphs.append("Every run of the paper is counted.")
    if content["summed_trials"]:
        paragraphs.append(summed_text(content["summed_trials"], content["summed_runs"]))
    if content["incomplete_trials"]:
        paragraphs.append(
            f"Of {counted(content['incomplete_trials'], 'trial')} of studies, the paper does not "
            "have all runs: the whole cost of such a trial is unknown."
        )
    unknown = [
        f"{label} of {counted(count, 'run')}" for label, count in _unknown(runs).items() if count
    ]
    if unknown:
        paragraphs.append(f"Unknown, and in no sum: {', '.join(unknown)}.")
    return {
        "id": "selection",
        "heading": "Runs of the paper",
        "paragraphs": [*paragraphs, _outside()],
        "tables": tables,
    }


def _without_runs(content: Content) -> Section:
    """A paper of published rows alone."""
    rows = counted(len(content["published"]), "row")
    return {
        "id": "selection",
        "heading": "Content of the paper",
        "paragraphs": [
            f"{NO_RUNS} This report covers {rows}.",
            _frozen(content).replace("its runs and their price tags are", "its content is"),
        ],
        "tables": [],
    }


def _how(content: Content) -> str:
    """How the runs came into the paper; papers frozen by earlier versions do not state it."""
    origins = content["origins"]
    added, collected = origins.get("added", 0), origins.get("rule", 0)
    rule = content["rule"]
    if rule is None or (added and not collected):
        return "They were added one by one."
    text = _conditions(rule)
    where = f"in the project {content['project']}: {text}."
    if not origins or origins.get("unknown"):
        return f"A rule collected runs {where} Others may have been added one by one."
    if not added:
        return f"A rule collected them {where}"
    verb = "was" if added == 1 else "were"
    return f"{counted(added, 'run')} {verb} added one by one; a rule collected {collected} {where}"


def _conditions(rule: Mapping[str, Any]) -> str:
    conditions = [
        f"{name.replace('_', ' ')} {', '.join(value) if isinstance(value, list) else value}"
        for name, value in rule.items()
    ]
    return "; ".join(conditions) if conditions else "all runs"


def _frozen(content: Content) -> str:
    if content["frozen_at"] is None:
        return "The paper is not frozen: runs and price tags may still be added."
    return (
        f"The paper was frozen at {_time(content['frozen_at'])}: its runs and their price tags are "
        f"fixed. The SHA-256 of the selection is {content['selection_sha256']}."
    )


def _time(at: str) -> str:
    return datetime.fromisoformat(at).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _outside() -> str:
    return (
        "Not counted at all: work that was not run through Pricetag, such as experiments on other "
        "machines, the training of downloaded models, and the people's own computers."
    )


def _unknown(runs: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    labels = {
        "it_energy_kwh": "the IT energy",
        "co2e_kg": "the emissions",
        "cost": "the cost",
        "flops_dense": "the operations",
    }
    return {
        label: sum(run["figures"][axis]["value"] is None for run in runs)
        for axis, label in labels.items()
    }


def budget_section(content: Content) -> Section:
    """Planned against used, by purpose and by experiment."""
    tables = [
        _budget("purposes", "Planned and used, by purpose", "Purpose", content, "by_purpose"),
        _budget(
            "experiments", "Planned and used, by experiment", "Experiment", content, "by_experiment"
        ),
    ]
    if content["budgets"]:
        tables.append(_budgets(content["budgets"]))
    return {
        "id": "budget",
        "heading": "Computational budget",
        "paragraphs": [
            "Planned is the sum of the quotes that were made when the runs were posted, over those "
            "runs whose quote has the figure; used of these is what the same runs used. Runs that "
            "failed or were canceled are a group of their own, whatever their purpose was. "
            "Emissions and costs are by the factors of each price tag."
        ],
        "tables": tables,
    }


def _budget(id_: str, caption: str, noun: str, content: Content, key: str) -> Table:
    notes = Notes()
    lines = [*content[key], {**content["totals"], "name": ALL}]
    energies = [figure_of(line["used"]["it_energy_kwh"]) for line in lines]
    masses = [figure_of(line["used"]["co2e_kg"]) for line in lines]
    kwh, kg = column_unit(energies, "kWh"), column_unit(masses, "kg")
    rows = [_line(line, kwh[1], kg[1], notes) for line in lines]
    columns = [
        column(noun, weight=1.8),
        column("Runs", "right", 0.6),
        column("Failed", "right", 0.7),
        column(f"IT energy ({kwh[0]})", "right"),
        column(f"95% interval ({kwh[0]})", "right", 1.5),
        column(f"Planned ({kwh[0]})", "right"),
        column("Used of these", "right", 1.2),
        column(f"CO2e ({kg[0]})", "right"),
        column("Hours", "right", 0.8),
        column("Cost", "right", 1.3),
    ]
    return table(id_, caption, columns, rows, notes.lines())


def _line(line: Mapping[str, Any], kwh: float, kg: float, notes: Notes) -> Row:
    used = {name: figure_of(figure) for name, figure in line["used"].items()}
    planned = figure_of(line["planned"]["it_energy_kwh"])
    same = figure_of(line["used_of_planned"]["it_energy_kwh"])
    return row(
        line["name"],
        str(line["runs"]),
        str(line["unsuccessful"]),
        notes.figure(used["it_energy_kwh"], kwh),
        notes.interval(used["it_energy_kwh"], kwh),
        notes.figure(planned, kwh),
        _share(same, planned, kwh),
        notes.figure(used["co2e_kg"], kg),
        notes.figure(used["duration_s"], 3600.0),
        notes.price_range(used["cost"]),
        total=line["name"] == ALL,
    )


def _share(same: Figure, planned: Figure, kwh: float) -> str:
    """What the quoted runs used, and its share of the plan."""
    if same.value is None or planned.value is None:
        return ""
    text = number(same.value / kwh)
    return f"{text} ({percent(same.value / planned.value)})" if planned.value else text


def _budgets(budgets: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        row(
            each["name"],
            each["period"],
            f"{money(each['amount'])} {each['unit']}"
            if each["metric"] == "cost"
            else with_unit(each["amount"], each["unit"]),
        )
        for each in budgets
    ]
    columns = [column("Budget", weight=2), column("Period"), column("Amount", "right", 1.2)]
    return table("budgets", "Budgets of the project", columns, rows)


def hashes_section(content: Content) -> Section:
    """The version and the hash of each price tag; who measured the run, if not a worker."""
    notes = Notes()
    is_shown = any(run["origin"] != QUEUE for run in content["runs"])
    rows = [
        row(
            run["name"],
            run["run_id"],
            run["group"],
            *([_origin(run, notes)] if is_shown else []),
            str(run["version"]),
            run["sha256"],
        )
        for run in content["runs"]
    ]
    columns = [
        column("Run", weight=1.4),
        column("ID", weight=2.1),
        column("Purpose", weight=1.2),
        *([column("Origin", weight=0.9)] if is_shown else []),
        column("Version", "right", 0.7),
        column("SHA-256 of the price tag", weight=3.4),
    ]
    return {
        "id": "hashes",
        "heading": "Price tags",
        "paragraphs": [
            "The sums of this report are the doubles nearest to the exact sums of the figures in "
            "these price tags. The archive of a frozen paper has all of them, and a script that "
            "adds them up again."
        ],
        "tables": [table("price-tags", "Price tags of the runs", columns, rows, notes.lines())],
    }


def _origin(run: Mapping[str, Any], notes: Notes) -> str:
    """Who measured a run, with what its sender states in a note."""
    origin = str(run["origin"])
    if origin == QUEUE:
        return origin
    return f"{origin} {notes.mark(measured_text(origin, run['measured_by']))}"
