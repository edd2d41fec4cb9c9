"""Quotes and their score on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pricetag.cli.views.tables import new_table
from pricetag.tag.figures import (
    column_unit,
    counted,
    money,
    not_available,
    number,
    percent,
    quantity_text,
    with_unit,
)
from pricetag.tag.footnotes import footnoted
from pricetag.tag.green import plan_lines
from pricetag.tag.status import status_text

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

LABELS = {
    "duration_s": "Time",
    "it_energy_kwh": "IT energy",
    "facility_energy_kwh": "Facility energy",
    "co2e_kg": "CO2e",
    "cost": "Cost",
}
UNKNOWN = "Unknown:"


def quote_view(quote: Mapping[str, Any]) -> RenderableType:
    """A quote: its figures, their basis, and their accuracy if known."""
    from rich.console import Group
    from rich.text import Text

    reasons = {quantity.get("reason") for quantity in quote["quantities"].values()}
    lines = [line for line in dict.fromkeys(_basis(quote)) if not _repeats(line, reasons, quote)]
    parts: list[RenderableType] = [_figures(quote["quantities"])]
    parts += [Text(""), *(Text(line, style="dim") for line in lines)] if lines else []
    if quote.get("green_start") is not None:
        parts += [Text(""), *map(Text, plan_lines(quote["green_start"]))]
    projection = quote.get("projection")
    if projection is not None:
        done = projection["progress_ratio"]
        progress = "" if done is None else f" ({percent(done)} done)"
        parts += [
            Text(""),
            Text(f"Current projection{progress}"),
            _figures(projection["quantities"]),
        ]
    if quote.get("score") is not None:
        parts += [Text(""), *_score_lines(quote["score"])]
    return Group(*parts)


def _figures(quantities: Mapping[str, Any]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    texts, notes = footnoted([_text(name, quantities[name]) for name in LABELS])
    for label, text in zip(LABELS.values(), texts, strict=True):
        table.add_row(Text(label, style="dim"), Text(text, style="bold"))
    for note in notes:
        table.add_row(*(Text(part, style="dim") for part in note.split(" ", 1)))
    return table


def _text(name: str, quantity: Mapping[str, Any]) -> str:
    if quantity["value"] is None:
        return not_available(quantity.get("reason"))
    if name == "cost":
        low, high = money(quantity["low"]), money(quantity["high"])
        basis = f"; {quantity['reason']}" if quantity.get("reason") else ""
        return f"{money(quantity['value'])} {quantity['unit']} ({low} to {high}{basis})"
    return quantity_text({**quantity, "source": None})


def _basis(quote: Mapping[str, Any]) -> Iterator[str]:
    kinds = {"history": "Based on", "flops": "Based on", "unknown": UNKNOWN}
    yield f"{kinds[quote['method']]} {quote['text']}"
    ratio = quote.get("work_ratio")
    if ratio is not None and abs(ratio - 1) > 0.005:
        yield f"scaled by {number(float(ratio))}, the ratio of the planned work to theirs"
    if quote["method"] != "unknown":
        yield "intervals: for the figures of the run's price tag, whose own intervals come on top"
    if quote["runs"]:
        shown = ", ".join(str(run)[:8] for run in quote["runs"][:5])
        unnamed = quote["run_count"] - min(len(quote["runs"]), 5)
        yield f"runs {shown}" + (f" and {unnamed} more" if unnamed else "")
    yield from quote["notes"]


def _repeats(line: str, reasons: set[str | None], quote: Mapping[str, Any]) -> bool:
    """Whether a line repeats a remark beside a figure or the basis of the quote."""
    reason = _reason_in(line)
    return reason in reasons or (line == reason and f"{UNKNOWN} {line}" in set(_basis(quote)))


def _reason_in(line: str) -> str:
    """The part of a line that may repeat the reason of an unknown figure."""
    return line.removeprefix(f"{UNKNOWN} ")


def _score_lines(score: Mapping[str, Any]) -> Iterator[RenderableType]:
    from rich.text import Text

    if score["status"] != "succeeded":
        status = status_text(score["status"])
        ended = f"was {status}" if status == "canceled" else status
        yield Text(f"The run {ended} before it completed all of the quoted work.")
    if not score["quantities"]:
        yield Text("Nothing was quoted, so that there is nothing to compare.")
        return
    table = new_table("Quantity", ">Quoted", ">Actual", ">Actual/quoted", ">In the interval")
    for name, label in LABELS.items():
        hit = score["quantities"].get(name)
        if hit is not None:
            unit = {"duration_s": "s", "co2e_kg": "kg", "cost": ""}.get(name, "kWh")
            shown = column_unit((hit["quoted"], hit["actual"]), unit)
            table.add_row(
                Text(label),
                Text(with_unit(hit["quoted"], unit, shown)),
                Text(with_unit(hit["actual"], unit, shown)),
                Text(number(float(hit["factor"]))),
                Text("yes" if hit["inside"] else "no"),
            )
    yield table


def score_view(score: Mapping[str, Any]) -> RenderableType:
    """The accuracy of quotes, one row per kind of quote and quantity."""
    from rich.console import Group
    from rich.text import Text

    heads = ("Based on", "Pool", "Quantity", ">Runs", ">Within", ">Bias", ">In 95%")
    table = new_table(*heads)
    for group in score["groups"]:
        table.add_row(
            Text(group["level"] or group["method"]),
            Text(group["pool"]),
            Text(LABELS[group["quantity"]]),
            Text(f"{group['count']:,}"),
            Text(f"x {number(float(group['median_factor']))}"),
            Text(f"x {number(float(group['bias_factor']))}"),
            Text(percent(group["inside_ratio"])),
        )
    runs = counted(score["runs"], "run")
    summary = f"{runs} scored, {score['unquoted']:,} of them without a figure"
    legend = (
        "Within: half of the actual figures were within this factor of the quote. Bias: median "
        "of actual / quoted. In 95%: share of actual figures in the quote's interval."
    )
    if not score["groups"]:
        return Group(Text(summary))
    return Group(table, Text(""), Text(summary), Text(legend, style="dim"))
