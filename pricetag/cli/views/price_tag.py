"""A price tag on the terminal, fit for 80 columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pricetag.cli.views.strubell import cost_text
from pricetag.cli.views.tables import Figures, FittedTable, new_table
from pricetag.tag.figures import (
    column_unit,
    difference,
    not_available,
    number,
    percent,
    quantity_text,
    with_unit,
)
from pricetag.tag.tags import (
    Tag,
    compared_attempts,
    hardware_text,
    listed,
    quantity,
    repriced_text,
    stage_depth,
    stage_name,
    status,
)
from pricetag.tag.variants import SCORES, score_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

BESIDE = {
    "CO2e, market": "co2e_market_kg",
    "CO2e, embodied": "embodied_co2e_kg",
    "CO2e in all": "co2e_total_kg",
    "Water": "water_l",
}
WHOLE_RATIO = 0.9995
INDENT = "  "
OUTSIDE = "(outside the stages)"
OUTSIDE_PATH = ("outside_stages", "it_energy_kwh")
LEAST_RATIO = 0.0005
NOT_OF_IT: dict[str, Any] = {"value": None, "unit": "", "reason": ""}
QUIET = frozenset({"edge_aligned"})
"""Flags that speak for a figure, not against it."""

NAMED = 8
"""Of how many uncounted operators and stages the names are printed."""

EXPLAINED = 3
"""Of how many causes a difference to the second opinion is told at most."""


def price_tag_view(
    tag: Tag, issued: Mapping[str, Any] | None = None, newest: int | None = None
) -> RenderableType:
    """The whole price tag: totals, stages, components, quality, what to know about it.

    Args:
        tag: A price tag as the API gives it.
        issued: What the list of versions tells of it: its cause.
        newest: The highest of the run's versions.
    """
    from rich.console import Group
    from rich.text import Text

    title = Text.assemble((str(tag.get("name") or "unnamed"), "bold"), f"  ({status(tag)})")
    about = Text(_version({**tag, "cause": (issued or {}).get("cause")}, newest))
    parts: list[RenderableType] = [title, about, _totals(tag), Text("")]
    if listed(tag, "stages"):
        parts += [_stages(tag), Text("")]
    for table in (_components(tag), _quality(tag)):
        if table.row_count:
            parts += [table, Text("")]
    return Group(*parts, *_remarks(tag))


def _version(tag: Tag, newest: int | None) -> str:
    """Which version it is, and why it is not the one that the run's end issued."""
    number = tag.get("version")
    of = f" of {newest}" if newest is not None and newest != number else ""
    why = repriced_text(tag)
    if why is None and tag.get("cause") == "journal-came-late":
        why = "with measurements that came late"
    return f"Version {number}{of}{f': {why}' if why else ''}"


def _totals(tag: Tag) -> Table:
    from rich.table import Table
    from rich.text import Text

    lines = {
        "Hardware": hardware_text(tag) or not_available(None),
        "Time": quantity_text({**quantity(tag, "duration_s"), "source": None}),
        "Mean power": quantity_text(quantity(tag, "power_w")),
        "IT energy": quantity_text(quantity(tag, "it_energy_kwh")),
        **_split(tag),
        "x PUE": quantity_text(quantity(tag, "pue")),
        "Facility energy": quantity_text(quantity(tag, "facility_energy_kwh")),
        "x grid": quantity_text(quantity(tag, "carbon_intensity_g_per_kwh")),
        "CO2e": quantity_text(quantity(tag, "co2e_kg")),
        **_known(tag, BESIDE),
        **_costs(tag),
        "FLOPs, dense": _flops(quantity(tag, "flops", "dense")),
        "FLOPs, effective": _flops(quantity(tag, "flops", "effective")),
        **_efficiency(tag),
    }
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in lines.items():
        strong = label in ("IT energy", "Facility energy", "CO2e")
        table.add_row(Text(label, style="dim"), Text(text, style="bold" if strong else ""))
    return table


def _known(tag: Tag, fields: Mapping[str, str]) -> dict[str, str]:
    """The quantities of some fields that are known."""
    found = {label: quantity(tag, name) for label, name in fields.items()}
    return {label: quantity_text(q) for label, q in found.items() if q["value"] is not None}


def _split(tag: Tag) -> dict[str, str]:
    """The idle part of the energy, and what of the devices it is, where that says something."""
    lines: dict[str, str] = {}
    energy, idle = quantity(tag, "it_energy_kwh"), quantity(tag, "split", "baseline_kwh")
    if idle["value"] is not None and energy["value"]:
        share = percent(idle["value"] / energy["value"])
        lines["  of it idle draw"] = f"{with_unit(idle['value'], 'kWh')} ({share})"
    gross, part = quantity(tag, "split", "gross_kwh"), quantity(tag, "split", "charged_ratio")
    if part["value"] is not None and part["value"] < WHOLE_RATIO:
        text = f"{percent(part['value'])} of the {with_unit(gross['value'], 'kWh')} of the devices"
        lines["  share"] = text
    return lines


def _costs(tag: Tag) -> dict[str, str]:
    """The cost to go by with its basis, then its parts and the cloud's price, where known."""
    total, cost = quantity(tag, "cost", "total"), tag.get("cost")
    basis = cost.get("basis") if isinstance(cost, Mapping) else None
    parts = {
        "Cloud cost": quantity(tag, "cost", "cloud"),
        "Owned hardware": quantity(tag, "cost", "owned_hardware"),
        "Electricity cost": quantity(tag, "cost", "electricity"),
    }
    if basis is None:  # nothing is known, or the tag is of the first accounting
        shown = list(parts)[::2]
        return {
            name: cost_text(parts[name], not_available(parts[name]["reason"])) for name in shown
        }
    lines = {"Cost": f"{cost_text(total)} ({basis})"}
    apart = {label: q for label, q in parts.items() if q["value"] not in (None, total["value"])}
    return lines | {label: cost_text(q) for label, q in apart.items()}


def _efficiency(tag: Tag) -> dict[str, str]:
    lines: dict[str, str] = {}
    mfu, rate = quantity(tag, "flops", "mfu_ratio"), quantity(tag, "flops", "flops_per_joule")
    if mfu["value"] is not None:
        lines["MFU"] = f"{percent(mfu['value'])} of the dense 16-bit peak"
    if rate["value"] is not None:
        lines["FLOPs per energy"] = f"{with_unit(float(rate['value']), 'FLOP')}/J"
    return lines


def _flops(found: Mapping[str, Any]) -> str:
    """Operations; a remark on them names what is not counted, and they are a lower bound."""
    if found["value"] is None:
        return not_available(found["reason"])
    text = with_unit(float(found["value"]), "FLOP")
    return f"at least {text}" if found["reason"] else text


def _stages(tag: Tag) -> RenderableType:
    several = len(listed(tag, "attempts")) > 1
    stages = [(_stage_label(tag, stage, several), stage) for stage in listed(tag, "stages")]
    outside = _outside(tag)
    if outside is not None:
        stages.append((OUTSIDE, outside))
    holders = [holder for _, holder in stages]
    energies = [quantity(holder, "it_energy_kwh") for holder in holders]
    unit, size = column_unit((energy["value"] for energy in energies), "kWh")
    powers = [quantity(holder, "power_w") for holder in holders]
    power_unit, power_size = column_unit((power["value"] for power in powers), "W")
    return FittedTable(
        "Stage",
        [label for label, _ in stages],
        [
            Figures("Time", [_short(_of(holder, "duration_s")) for holder in holders]),
            Figures(
                f"Power\n({power_unit})", [_in(_of(h, "power_w"), power_size) for h in holders]
            ),
            Figures(f"IT energy\n({unit})", [_in(energy, size) for energy in energies]),
            Figures(f"95% interval\n({unit})", [_interval(energy, size) for energy in energies]),
            Figures("Share", [_percent(quantity(holder, "share_ratio")) for holder in holders]),
        ],
    )


def _outside(tag: Tag) -> Mapping[str, Any] | None:
    """What was used outside the stages, so that the shares add up; None where nothing was."""
    provenance = tag.get("provenance")
    energy = quantity(provenance if isinstance(provenance, Mapping) else None, *OUTSIDE_PATH)
    total = quantity(tag, "it_energy_kwh")["value"]
    if not energy["value"] or not total or energy["value"] / total < LEAST_RATIO:
        return None
    share = {"value": energy["value"] / total, "unit": "1", "source": energy["source"]}
    return {"it_energy_kwh": energy, "share_ratio": share}


def _of(holder: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A figure that what lies outside the stages does not have."""
    return quantity(holder, name) if name in holder else NOT_OF_IT


def _stage_label(tag: Tag, stage: Mapping[str, Any], several: bool) -> str:
    label = INDENT * stage_depth(tag, stage) + str(stage.get("name") or stage.get("kind"))
    if stage.get("status") != "succeeded":
        label += f" ({stage.get('status')})"
    return f"{stage.get('attempt')}: {label}" if several else label


def _in(found: Mapping[str, Any], size: float) -> str:
    if found is NOT_OF_IT:
        return ""
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
            lines.setdefault(key, {})[str(item["metric"])] = score_text(item)
    heads = [name for name in SCORES if any(name in scores for scores in lines.values())]
    table = new_table("Quality", "Split", *(f">{name}" for name in heads))
    for (stage, split), scores in lines.items():
        table.add_row(*map(Text, (stage, split, *(scores.get(name, "") for name in heads))))
    return table


def _errors(tag: Tag) -> list[str]:
    """The cause that most of the error of energy and of carbon comes from."""
    found = []
    budget = tag.get("uncertainty")
    for name, label in (("it_energy", "IT energy"), ("co2e", "CO2e"), ("cost", "cost")):
        causes = listed(budget, name) if isinstance(budget, Mapping) else []
        if causes:
            share = percent(float(causes[0]["share_of_variance"]))
            found.append(f"{label}: {causes[0]['term']} ({share})")
    return ["Largest error: " + "; ".join(found)] if found else []


def _uncounted(tag: Tag) -> list[str]:
    """Operators and stages that the FLOPs leave out, where any were counted."""
    flops = tag.get("flops")
    names = flops.get("uncounted") if isinstance(flops, Mapping) else None
    if not names or quantity(tag, "flops", "dense")["value"] is None:
        return []
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return [f"FLOPs leave out: {', '.join(map(str, names[:NAMED]))}{more}"]


def _remarks(tag: Tag) -> list[RenderableType]:
    from rich.text import Text

    opinion = tag.get("second_opinion")
    lines = [f"Metered: {_percent(quantity(tag, 'coverage_ratio'))} of the run time"]
    if isinstance(opinion, Mapping):
        lines.append(f"Second opinion: {opinion.get('tool')} says {_opinion(tag, opinion)}")
        for item in listed(opinion, "explanation")[:EXPLAINED]:
            where = item.get("component")
            lines.append(f"  {f'{where}: ' if where else ''}{item.get('text')}")
    lines += [*_errors(tag), *_uncounted(tag)]
    flags = [str(flag) for flag in tag.get("flags") or () if flag not in QUIET]
    if flags:
        lines.append("Flags: " + ", ".join(flag.replace("_", " ") for flag in flags))
    for attempt in listed(tag, "attempts"):
        reason = attempt.get("reason")
        if isinstance(reason, Mapping):
            said = reason.get("message") or reason.get("code")
            lines.append(f"Attempt {attempt.get('number')} {attempt.get('status')}: {said}")
    return [Text(line) for line in lines]


def _opinion(tag: Tag, opinion: Mapping[str, Any]) -> str:
    """Their figure against ours; of some attempts alone, both are of these."""
    theirs = quantity_text(quantity(opinion, "total", "theirs_kwh"))
    apart = quantity(opinion, "total", "difference_ratio")["value"]
    some, ours = compared_attempts(tag), quantity(opinion, "total", "ours_kwh")
    of = "" if some is None else f" of {some}"
    if apart is None:
        return theirs + of
    which = "ours" if some is None else f"our {with_unit(ours['value'], 'kWh')} of the same"
    return f"{theirs}{of}, {difference(apart)} against {which}"


def _short(found: Mapping[str, Any]) -> str:
    if found is NOT_OF_IT:
        return ""
    return "n/a" if found["value"] is None else with_unit(found["value"], str(found["unit"]))


def _percent(found: Mapping[str, Any]) -> str:
    if found["value"] is None:
        return "n/a"
    return percent(found["value"]).replace("under ", "<").replace("over ", ">")
