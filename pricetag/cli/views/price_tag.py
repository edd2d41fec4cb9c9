"""A price tag on the terminal, fit for 80 columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pricetag.cli.views.strubell import cost_text
from pricetag.figures import (
    difference,
    interval_text,
    not_available,
    percent,
    quantity_text,
    with_unit,
)
from pricetag.tags import Tag, hardware_text, listed, quantity, stage_name, status

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

SCORES = ("accuracy", "f1", "mcc", "spearman", "pearson")


def price_tag_view(tag: Tag) -> RenderableType:
    """The whole price tag: totals, stages, components, quality, what to know about it.

    Args:
        tag: A price tag as the API gives it.
    """
    from rich.console import Group
    from rich.text import Text

    title = Text.assemble((str(tag.get("name") or "unnamed"), "bold"), f"  ({status(tag)})")
    tables = [_stages(tag), _components(tag), _quality(tag)]
    filled = [table for table in tables if table.row_count]
    return Group(title, _totals(tag), Text(""), *filled, *_remarks(tag))


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


def _stages(tag: Tag) -> Table:
    from rich.text import Text

    table = _table("Stage", "Status", ">Time", ">Power", ">IT energy", ">95% interval", ">Share")
    several = len(listed(tag, "attempts")) > 1
    for stage in listed(tag, "stages"):
        label = str(stage.get("name") or stage.get("kind"))
        if stage.get("parent") is not None:
            label = "  " + label
        if several:
            label = f"{stage.get('attempt')}: {label}"
        energy = quantity(stage, "it_energy_kwh")
        table.add_row(
            Text(label),
            Text(str(stage.get("status"))),
            *map(Text, (_short(quantity(stage, "duration_s")), _short(quantity(stage, "power_w")))),
            Text(_short(energy)),
            Text(interval_text(energy)),
            Text(_percent(quantity(stage, "share_ratio"))),
        )
    return table


def _components(tag: Tag) -> Table:
    from rich.text import Text

    table = _table("Component", ">Power", ">IT energy", ">Share", ">Metered", "Evidence")
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
    table = _table("Quality", "Split", *(f">{name}" for name in heads))
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


def _table(*heads: str) -> Table:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for head in heads:
        right = head.startswith(">")
        table.add_column(
            Text(head.removeprefix(">")),
            justify="right" if right else "left",
            overflow="fold",
            no_wrap=right,  # figures stay whole, names may wrap
        )
    return table


def _short(found: Mapping[str, Any]) -> str:
    return "n/a" if found["value"] is None else with_unit(found["value"], str(found["unit"]))


def _percent(found: Mapping[str, Any]) -> str:
    return "n/a" if found["value"] is None else percent(found["value"])
