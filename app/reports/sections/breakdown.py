"""Where the energy went: stages, attempts and components of every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.reports.cells import Notes, column_unit, evidence
from app.reports.shape import Row, Section, Table, column, row, table
from pricetag.tag.figures import with_unit
from pricetag.tag.strubell import Profile, emissions
from pricetag.tag.tags import Tag, listed, quantity, stage_depth

NESTED = "of it: "


def section(tags: Sequence[Tag], profile: Profile) -> Section:
    """For each run a table of attempts and stages, then all components."""
    tables = [_stages(index, tag, profile) for index, tag in enumerate(tags)]
    return {
        "id": "stages",
        "heading": "Where the energy went",
        "paragraphs": [
            "Every stage was metered by itself, in every attempt. Share is of the run's IT "
            "energy; a nested stage is part of the one it lies in. What start-up, saving and "
            "waiting used lies outside the stages; with it the shares add up."
        ],
        "tables": [*tables, *_components(tags)],
    }


def _stages(index: int, tag: Tag, profile: Profile) -> Table:
    notes = Notes()
    parts = [*_parts(tag), ("All attempts", "", tag, True)]
    energies = [quantity(holder, "it_energy_kwh") for _, _, holder, _ in parts]
    unit, size = column_unit(energies, "kWh")
    emitted = [emissions(holder, profile)["co2e_kg"] for _, _, holder, _ in parts]
    co2e_unit, co2e_size = column_unit(emitted, "kg")
    rows = [
        _row(part, energy, co2e, size, co2e_size, notes)
        for part, energy, co2e in zip(parts, energies, emitted, strict=True)
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
    name = str(tag.get("name") or "unnamed")
    return table(f"stages-{index + 1}", f"Stages of {name}", columns, rows, notes.lines())


Part = tuple[str, str, Mapping[str, Any], bool]


def _parts(tag: Tag) -> list[Part]:
    attempts = listed(tag, "attempts")
    parts: list[Part] = []
    for attempt in attempts:
        number = attempt.get("number")
        prefix = f"{number}: " if len(attempts) > 1 else ""
        for stage in listed(tag, "stages"):
            if stage.get("attempt") == number:
                nested = NESTED * stage_depth(tag, stage)
                label = f"{prefix}{nested}{stage.get('name') or stage.get('kind')}"
                parts.append((label, str(stage.get("status")), stage, False))
        outside = attempt.get("outside_stages")
        if isinstance(outside, Mapping):
            parts.append((f"{prefix}outside the stages", "", _with_share(outside, tag), False))
        if len(attempts) > 1:
            parts.append((f"Attempt {number}", str(attempt.get("status")), attempt, True))
    return parts


def _with_share(outside: Mapping[str, Any], tag: Tag) -> Mapping[str, Any]:
    """What lies outside the stages with its share, so that the shares add up to all."""
    energy, total = quantity(outside, "it_energy_kwh"), quantity(tag, "it_energy_kwh")["value"]
    if energy["value"] is None or not total:
        return outside
    share = {"value": energy["value"] / total, "unit": "1", "source": energy["source"]}
    return {**outside, "share_ratio": share}


def _row(
    part: Part,
    energy: Mapping[str, Any],
    co2e: Mapping[str, Any],
    size: float,
    co2e_size: float,
    notes: Notes,
) -> Row:
    label, status, holder, is_total = part
    has_time = "duration_s" in holder
    duration = quantity(holder, "duration_s")
    time = ""
    if has_time and duration["value"] is not None:
        time = with_unit(duration["value"], "s")
    elif has_time:
        time = notes.figure(duration)
    return row(
        label,
        status,
        time,
        notes.figure(quantity(holder, "power_w")) if has_time else "",
        notes.figure(energy, size),
        notes.interval(energy, size),
        notes.figure(co2e, co2e_size) if has_time else "",
        notes.percent(quantity(holder, "share_ratio")) if "share_ratio" in holder else "",
        evidence(energy),
        total=is_total,
    )


def _components(tags: Sequence[Tag]) -> list[Table]:
    notes = Notes()
    found = [(tag, component) for tag in tags for component in listed(tag, "components")]
    if not found:
        return []
    unit, size = column_unit((quantity(c, "it_energy_kwh") for _, c in found), "kWh")
    rows = [
        row(
            f"{component.get('name')} ({component.get('kind')})",
            str(tag.get("name")),
            notes.figure(quantity(component, "power_w")),
            notes.figure(quantity(component, "it_energy_kwh"), size),
            notes.interval(quantity(component, "it_energy_kwh"), size),
            notes.percent(quantity(component, "share_ratio")),
            notes.percent(quantity(component, "coverage_ratio")),
            evidence(quantity(component, "it_energy_kwh")),
        )
        for tag, component in found
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
    return [table("components", caption, columns, rows, notes.lines())]
