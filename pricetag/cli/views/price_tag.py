"""A price tag on the terminal, fit for 80 columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pricetag.cli.views.strubell import cost_text
from pricetag.cli.views.tables import Figures, FittedTable, new_table
from pricetag.figures import (
    column_unit,
    difference,
    not_available,
    number,
    percent,
    quantity_text,
    with_unit,
)
from pricetag.tags import Tag, hardware_text, listed, quantity, stage_name, status
from pricetag.variants import SCORES

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


def price_tag_view(tag: Tag) -> RenderableType:
    """The whole price tag: totals, stages, components, quality, what to know about it.

    Args:
        tag: A price tag as the API gives it.
    """
    from rich.console import Group
    from rich.text import Text

    title = Text.assemble((str(tag.get("name") or "unnamed"), "bold"), f"  ({status(tag)})")
    parts: list[RenderableType] = [title, _totals(tag), Text("")]
    if listed(tag, "stages"):
        parts += [_stages(tag), Text("")]
    for table in (_components(tag), _quality(tag)):
        if table.row_count:
            parts += [table, Text("")]
    return Group(*parts, *_remarks(tag))


def _totals(tag: Tag) -> Table:
    from rich.table import Table
    from rich.text import Text

    cloud, electricity = quantity(tag, "cost", "cloud"), quantity(tag, "cost", "electricity")
    lines = {
        "Hardware": hardware_text(tag) or not_available(None),
        "Time": quantity_text({**quantity(tag, "duration_s"), "source": None}),
        "Mean power": quantity_text(quantity(tag, "power_w")),
        "IT energy": quantity_text(quantity(tag, "it_energy_kwh")),
        "x PUE": quantity_text(quantity(tag, "pue")),
        "Facility energy": quantity_text(quantity(tag, "facility_energy_kwh")),
        "x grid": quantity_text(quantity(tag, "carbon_intensity_g_per_kwh")),
        "CO2e": quantity_text(quantity(tag, "co2e_kg")),
        "Cloud cost": cost_text(cloud, not_available(cloud["reason"])),
        "Electricity cost": cost_text(electricity, not_available(electricity["reason"])),
        "FLOPs, dense": _flops(quantity(tag, "flops", "dense")),
        "FLOPs, effective": _flops(quantity(tag, "flops", "effective")),
    }
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in lines.items():
        strong = label in ("IT energy", "Facility energy", "CO2e")
        table.add_row(Text(label, style="dim"), Text(text, style="bold" if strong else ""))
    return table


def _flops(found: Mapping[str, Any]) -> str:
    if found["value"] is None:
        return not_available(found["reason"])
    return with_unit(float(found["value"]), "FLOP")


def _stages(tag: Tag) -> RenderableType:
    stages = listed(tag, "stages")
    several = len(listed(tag, "attempts")) > 1
    energies = [quantity(stage, "it_energy_kwh") for stage in stages]
    unit, size = column_unit((energy["value"] for energy in energies), "kWh")
    powers = [quantity(stage, "power_w") for stage in stages]
    power_unit, power_size = column_unit((power["value"] for power in powers), "W")
    return FittedTable(
        "Stage",
        [_stage_label(stage, several) for stage in stages],
        [
            Figures("Time", [_short(quantity(stage, "duration_s")) for stage in stages]),
            Figures(f"Power\n({power_unit})", [_in(power, power_size) for power in powers]),
            Figures(f"IT energy\n({unit})", [_in(energy, size) for energy in energies]),
            Figures(f"95% interval\n({unit})", [_interval(energy, size) for energy in energies]),
            Figures("Share", [_percent(quantity(stage, "share_ratio")) for stage in stages]),
        ],
    )


def _stage_label(stage: Mapping[str, Any], several: bool) -> str:
    label = str(stage.get("name") or stage.get("kind"))
    if stage.get("parent") is not None:
        label = "  " + label
    if stage.get("status") != "succeeded":
        label += f" ({stage.get('status')})"
    return f"{stage.get('attempt')}: {label}" if several else label


def _in(found: Mapping[str, Any], size: float) -> str:
    return "n/a" if found["value"] is None else number(float(found["value"]) / size)


def _interval(found: Mapping[str, Any], size: float) -> str:
    low, high = found["low"], found["high"]
    return "" if low is None or low == high else f"{number(low / size)} to {number(high / size)}"


def _components(tag: Tag) -> Table:
    from rich.text import Text

    table = new_table("Component", ">Power", ">IT energy", ">Share", ">Metered", "Evidence")
    for component in listed(tag, "components"):
        energy = quantity(component, "it_energy_kwh")
        table.add_row(
            Text(f"{component.get('name')} ({component.get('kind')})"),
            Text(_short(quantity(component, "power_w"))),
            Text(_short(energy)),
            Text(_percent(quantity(component, "share_ratio"))),
            Text(_percent(quantity(component, "coverage_ratio"))),
            Text(str(energy["source"] or energy["reason"])),
        )
    return table


def _quality(tag: Tag) -> Table:
    """Scores that the stages reported, one row per stage and split."""
    from rich.text import Text

    lines: dict[tuple[str, str], dict[str, str]] = {}
    for item in listed(tag, "quality"):
        key = (stage_name(tag, str(item.get("stage"))), str(item.get("split") or ""))
        if item.get("metric") in SCORES:
            value = item.get("value")
            lines.setdefault(key, {})[str(item["metric"])] = (
                "n/a" if value is None else f"{value:.4f}"
            )
    heads = [name for name in SCORES if any(name in scores for scores in lines.values())]
    table = new_table("Quality", "Split", *(f">{name}" for name in heads))
    for (stage, split), scores in lines.items():
        table.add_row(*map(Text, (stage, split, *(scores.get(name, "") for name in heads))))
    return table


def _remarks(tag: Tag) -> list[RenderableType]:
    from rich.text import Text

    opinion = tag.get("second_opinion")
    lines = [f"Metered: {_percent(quantity(tag, 'coverage_ratio'))} of the run time"]
    if isinstance(opinion, Mapping):
        theirs = quantity_text(quantity(opinion, "total", "theirs_kwh"))
        apart = quantity(opinion, "total", "difference_ratio")["value"]
        against = "" if apart is None else f", {difference(apart)} against ours"
        lines.append(f"Second opinion: {opinion.get('tool')} says {theirs}{against}")
    flags = tag.get("flags")
    if flags:
        lines.append("Flags: " + ", ".join(str(flag).replace("_", " ") for flag in flags))
    for attempt in listed(tag, "attempts"):
        reason = attempt.get("reason")
        if isinstance(reason, Mapping):
            said = reason.get("message") or reason.get("code")
            lines.append(f"Attempt {attempt.get('number')} {attempt.get('status')}: {said}")
    return [Text(line) for line in lines]


def _short(found: Mapping[str, Any]) -> str:
    return "n/a" if found["value"] is None else with_unit(found["value"], str(found["unit"]))


def _percent(found: Mapping[str, Any]) -> str:
    if found["value"] is None:
        return "n/a"
    return percent(found["value"]).replace("under ", "<").replace("over ", ">")
