"""Breakdown of energy: stages, attempts and components of every run."""

from __future__ import annotations

from collections.abc import Sequence

from app.reports.cells import Notes, column_unit, evidence
from app.reports.shape import Section, Table, column, row, table
from pricetag.accounting.bill.figures import EnergyTag
from pricetag.tag.figures import with_unit
from pricetag.tag.flags import stage_flags
from pricetag.tag.measured import is_metered
from pricetag.tag.parts import Part, attempt_part, parts_by_attempt
from pricetag.tag.status import status_text
from pricetag.tag.strubell import Profile, emissions
from pricetag.tag.trust import models
from pricetag.tag.view import TagView

NESTED = "of which: "


def section(tags: Sequence[TagView], profile: Profile) -> Section:
    """A table of attempts and stages for each run, then all components."""
    tables = [_stages(index, tag, profile) for index, tag in enumerate(tags)]
    return {
        "id": "stages",
        "heading": "Where the energy went",
        "paragraphs": [
            f"{_metered(tags)}Share is the share of the run's "
            "IT energy; a nested stage is part of the stage around it. Start-up, saving and "
            "waiting are outside the stages; including them, the shares add up to the run."
        ],
        "tables": [*tables, *_components(tags)],
    }


def _metered(tags: Sequence[TagView]) -> str:
    """What was metered separately; of other tools' runs nothing was metered."""
    own = sum(map(is_metered, tags))
    if own == len(tags):
        return "Every stage of every attempt was metered separately. "
    theirs = "The figures of runs that Pricetag did not measure are those of other tools. "
    which = "Every stage of every attempt that Pricetag measured was metered separately. "
    return which + theirs if own else theirs


def _stages(index: int, tag: TagView, profile: Profile) -> Table:
    notes = Notes()
    lines = [*_lines(tag), ("All attempts", _whole(tag), True)]
    unit, size = column_unit((part.it_energy_kwh for _, part, _ in lines), "kWh")
    emitted = (emissions(part.energy, profile).co2e_kg for _, part, _ in lines if part.energy)
    co2e_unit, co2e_size = column_unit(emitted, "kg")
    rows = [
        row(*_cells(part, profile, size, co2e_size, notes, label), total=is_total)
        for label, part, is_total in lines
    ]
    columns = [
        column("Stage", weight=2.4),
        column("Status", weight=1.2),
        column("Time", "right"),
        column("Power (W)", "right"),
        column(f"IT energy ({unit})", "right"),
        column(f"95% interval ({unit})", "right", 1.6),
        column(f"CO2e ({co2e_unit})", "right"),
        column("Share", "right", 0.9),
        column("Weakest evidence", weight=1.2),
    ]
    flags = [f"Flag: {flag.text}." for flag in stage_flags(tag)]
    below = [*notes.lines(), *flags]
    return table(f"stages-{index + 1}", f"Stages of {tag.name}", columns, rows, below)


def _whole(tag: TagView) -> Part:
    energy = tag.document.energy
    return Part("All attempts", "", None, 0, energy.it_energy_kwh, None, energy)


def _lines(tag: TagView) -> list[tuple[str, Part, bool]]:
    """The rows of the attempts, each with its label, and whether it is a sum."""
    several = tag.has_several_attempts
    lines: list[tuple[str, Part, bool]] = []
    for attempt, parts in parts_by_attempt(tag):
        prefix = f"{attempt.number}: " if several else ""
        for part in parts:
            name = NESTED * part.depth + part.name if part.energy else "outside the stages"
            lines.append((prefix + name, part, False))
        if several:
            attempt_line = attempt_part(attempt)
            lines.append((attempt_line.name, attempt_line, True))
    return lines


def _cells(
    part: Part, profile: Profile, size: float, co2e_size: float, notes: Notes, label: str
) -> list[str]:
    time = power = co2e = ""
    # Notes are lettered from left to right.
    if part.energy is not None:
        time = _time(part.energy, notes)
        power = notes.figure(part.energy.power_w)
    energy = [notes.figure(part.it_energy_kwh, size), notes.interval(part.it_energy_kwh, size)]
    if part.energy is not None:
        co2e = notes.figure(emissions(part.energy, profile).co2e_kg, co2e_size)
    share = "" if part.share_ratio is None else notes.percent(part.share_ratio)
    return [
        label,
        status_text(part.status),
        time,
        power,
        *energy,
        co2e,
        share,
        evidence(part.it_energy_kwh),
    ]


def _time(energy: EnergyTag, notes: Notes) -> str:
    duration = energy.duration_s
    return notes.figure(duration) if duration.value is None else with_unit(duration.value, "s")


def _components(tags: Sequence[TagView]) -> list[Table]:
    notes = Notes()
    components = [(tag, component) for tag in tags for component in tag.document.energy.components]
    if not components:
        return []
    unit, size = column_unit((c.it_energy_kwh for _, c in components), "kWh")
    rows = [
        row(
            f"{component.name} ({component.kind})",
            tag.document.name,
            notes.figure(component.power_w),
            notes.figure(component.it_energy_kwh, size),
            notes.interval(component.it_energy_kwh, size),
            notes.percent(component.share_ratio),
            notes.percent(component.coverage_ratio),
            evidence(component.it_energy_kwh),
        )
        for tag, component in components
    ]
    columns = [
        column("Component", weight=2.2),
        column("Run", weight=1.8),
        column("Power (W)", "right"),
        column(f"IT energy ({unit})", "right"),
        column(f"95% interval ({unit})", "right", 1.6),
        column("Share", "right", 0.9),
        column("Metered", "right", 0.9),
        column("Evidence", weight=1.2),
    ]
    caption = "Components, over all attempts of a run"
    modelled = dict.fromkeys(f"{line}." for tag in tags for line in models(tag))
    return [table("components", caption, columns, rows, [*notes.lines(), *modelled])]
