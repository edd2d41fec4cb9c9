"""How far the figures can be trusted: coverage, flags, another tool's opinion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from app.reports.cells import Notes, column_unit
from app.reports.shape import Section, Table, column, row, table
from pricetag.tag.figures import percent
from pricetag.tag.strubell import Profile
from pricetag.tag.tags import Tag, compared_attempts, listed, quantity

FLAGS = {
    "above_power_limit": "a device drew more than its power limit",
    "activity_inconsistent": "a job's activity on a shared device contradicts itself",
    "activity_missing": "a job's activity on a shared device was not told all the time",
    "carbon_hours_incomplete": "some hours lack a carbon intensity of their own",
    "carbon_intensity_assumed": "the carbon intensity is assumed",
    "carbon_intensity_unknown": "no carbon intensity is known, hence no emissions",
    "component_missing": "a component gave no energy and is missing from the totals",
    "counter_caught_up": "an energy counter stood still and then made up for it",
    "counter_frozen": "an energy counter stood still; integrated power was used",
    "counter_integral_divergence": "counter and integrated power differ by more than 10%",
    "counter_reset": "an energy counter started anew; integrated power filled the gap",
    "edge_interpolated": "an edge fell between two readings",
    "environment_changed": "the attempts ran in different software",
    "gap": "readings are missing for a while",
    "idle_power_unknown": "a shared device's idle power is unknown: half of its use counts as idle",
    "incomplete_coverage": "less than 99.9% of the run time was metered",
    "lost": "a device was lost",
    "metered_twice": "several meters watched a device at one time; it is counted once",
    "mig": "the device is a slice of a shared one",
    "mostly_modelled": "more than half of the energy is modelled, not metered",
    "no_counter": "the device has no energy counter",
    "no_permission": "a meter may not be read by the worker's user",
    "no_power": "the device tells no power",
    "not_covered": "a component was not metered",
    "nothing_metered": "nothing was metered",
    "nothing_reserved": "a job beside it had reserved the whole machine, and bears its idle energy",
    "overallocated": "jobs were charged more of a device than it used",
    "partly_covered": "a component was metered for a part of the time",
    "pue_assumed": "the PUE is assumed",
    "reset": "a counter started anew",
    "reopened": "a meter was opened again",
    "several_attempts": "the run was attempted more than once",
    "several_sites": "the attempts ran at different sites; the last one's factors are applied",
    "short_window": "a window too short for its counter: an estimate with hard bounds",
    "source_error": "a meter reported errors",
    "tariff_hours_incomplete": "some hours lack a price of electricity of their own",
    "unavailable": "a meter was not available",
    "unreadable": "a counter could not be read",
    "wrap_ambiguous": "a counter may have wrapped between two readings",
}


QUIET = frozenset({"edge_aligned"})
"""Flags that speak for a figure, not against it."""


def flag_text(flag: str) -> str:
    """A flag in words; one that is not listed is shown as it is."""
    return FLAGS.get(flag, flag.replace("_", " "))


def section(tags: Sequence[Tag], profile: Profile) -> Section:
    """Coverage and flags of every run, and the second opinions."""
    notes = Notes()
    rows = [
        row(
            str(tag.get("name")),
            notes.percent(quantity(tag, "coverage_ratio")),
            "; ".join(flag_text(str(f)) for f in tag.get("flags") or () if f not in QUIET)
            or "none",
        )
        for tag in tags
    ]
    columns = [
        column("Run", weight=1.6),
        column("Run time metered", "right", 0.9),
        column("Flags", weight=3.0),
    ]
    tables = [table("coverage", "Coverage and flags of every run", columns, rows, notes.lines())]
    return {
        "id": "checks",
        "heading": "How far to trust it",
        "paragraphs": [
            "Coverage is the part of the components' run time that was metered. What was not "
            "metered is not extrapolated. The second opinion is the IT energy that another tool "
            "gave for the same attempts. It sees whole machines: beside the difference to what is "
            "charged stands the one to what the whole devices used. Both are theirs less ours, "
            "over ours."
        ],
        "tables": [*tables, *_opinions(tags), *_errors(tags, profile)],
    }


FIGURES = {
    "it_energy": "IT energy",
    "facility_energy": "Facility energy",
    "co2e": "CO2e",
    "cost": "Cost",
}
SHOWN_CAUSES = 3


def _errors(tags: Sequence[Tag], profile: Profile) -> list[Table]:
    """The largest causes of error of each total; left out where no tag tells them.

    A profile that brings factors of its own, as exact numbers, leaves the meters' errors alone.
    """
    figures = FIGURES if profile == "site" else {"it_energy": FIGURES["it_energy"]}
    rows = [
        row(str(tag.get("name")), label, *_causes(budget, name))
        for tag in tags
        if isinstance(budget := tag.get("uncertainty"), Mapping)
        for name, label in figures.items()
        if listed(budget, name)
    ]
    if not rows:
        return []
    columns = [
        column("Run", weight=1.6),
        column("Figure"),
        column("Relative error (1 sigma)", "right"),
        column("Causes, by share of the variance", weight=3.4),
    ]
    caption = "Where the error of each total comes from"
    note = "To first order; errors that are a factor count by their logarithm."
    return [table("errors", caption, columns, rows, [note])]


def _causes(budget: Mapping[str, Any], name: str) -> tuple[str, str]:
    causes = listed(budget, name)
    whole = math.hypot(*(float(cause["relative_std_ratio"]) for cause in causes))
    told = (
        f"{cause['term']} {percent(float(cause['share_of_variance']))}"
        for cause in causes[:SHOWN_CAUSES]
    )
    return percent(whole), "; ".join(told)


def _opinions(tags: Sequence[Tag]) -> list[Table]:
    lines = [(tag, line, kind) for tag in tags for line, kind in _lines(tag)]
    silent = [
        f"{tag.get('name')}: n/a (no other tool ran beside the meter)"
        for tag in tags
        if not isinstance(tag.get("second_opinion"), Mapping)
    ]
    notes = Notes()
    ours = [quantity(line, "ours_kwh") for _, line, _ in lines]
    theirs = [quantity(line, "theirs_kwh") for _, line, _ in lines]
    gross = [quantity(line, "ours_gross_kwh") for _, line, _ in lines]
    unit, size = column_unit([*ours, *theirs, *gross], "kWh")
    rows = [
        row(
            str(tag.get("name")),
            _tool(tag),
            kind,
            notes.figure(mine, size),
            notes.figure(whole, size),
            notes.figure(other, size),
            notes.difference(quantity(line, "difference_ratio")),
            notes.difference(quantity(line, "gross_difference_ratio")),
            total=kind == "all",
        )
        for (tag, line, kind), mine, whole, other in zip(lines, ours, gross, theirs, strict=True)
    ]
    columns = [
        column("Run", weight=2.0),
        column("Tool", weight=1.4),
        column("Component"),
        column(f"Charged ({unit})", "right"),
        column(f"Whole devices ({unit})", "right"),
        column(f"Theirs ({unit})", "right"),
        column("Theirs to charged", "right"),
        column("Theirs to whole", "right"),
    ]
    caption = "Second opinion on IT energy"
    told = [*notes.lines(), *silent, *_partly(tags), *_explained(tags)]
    return [table("second-opinion", caption, columns, rows, told)]


def _partly(tags: Sequence[Tag]) -> list[str]:
    """The runs of which not all attempts are compared."""
    return [
        f"{tag.get('name')}: of {part} alone; the other tool said nothing of the rest."
        for tag in tags
        if (part := compared_attempts(tag)) is not None
    ]


def _explained(tags: Sequence[Tag]) -> list[str]:
    """What the differences come from, a line for each run."""
    lines = []
    for tag in tags:
        opinion = tag.get("second_opinion")
        causes = listed(opinion, "explanation") if isinstance(opinion, Mapping) else []
        parts = (f"{c.get('component') or 'all'}: {c.get('text')}" for c in causes)
        if causes:
            lines.append(f"{tag.get('name')}: {'; '.join(parts)}")
    return lines


def _tool(tag: Tag) -> str:
    opinion = tag["second_opinion"]
    return f"{opinion.get('tool')} {opinion.get('version') or ''}".strip()


def _lines(tag: Tag) -> list[tuple[Mapping[str, object], str]]:
    opinion = tag.get("second_opinion")
    if not isinstance(opinion, Mapping):
        return []
    parts = [(part, str(part.get("kind"))) for part in listed(opinion, "components")]
    whole = opinion.get("total")
    return [*parts, (whole, "all")] if isinstance(whole, Mapping) else parts
