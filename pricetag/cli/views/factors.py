"""Sites, factors, prices and hourly intensities on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pricetag.cli.views.tables import Figures, FittedTable, new_table
from pricetag.tag.figures import number
from pricetag.tag.green import plan_lines

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST_GAPS = 10


def site_line(site: Mapping[str, Any]) -> str:
    """A site with its grid zone, time zone and currency."""
    zone = site["grid_zone"] or "no grid zone"
    description = f"  {site['description']}" if site["description"] else ""
    return f"{site['name']}  {zone}, {site['time_zone']}, {site['currency']}{description}"


def site_parts(site: Mapping[str, Any]) -> Iterator[str | RenderableType]:
    """A site, and the factors that apply there."""
    yield site_line(site)
    yield site_view(site)


def site_view(site: Mapping[str, Any]) -> RenderableType:
    """The factors of a site, and the unknown ones."""
    from rich.console import Group
    from rich.text import Text

    table = new_table("Factor", ">Value", "From", "Source")
    for factor in site["factors"]:
        name = " ".join(part for part in (factor["kind"], factor["subject"]) if part)
        hourly = " (this hour)" if factor["by_the_hour"] else ""
        table.add_row(
            Text(name),
            Text(f"{factor['value']:g} {_unit(factor['unit'])}".rstrip() + hourly),
            Text(_origin(factor)),
            Text(_citation(factor), style="dim"),
        )
    unknown = [f"{kind}: {reason}" for kind, reason in site["unknown"].items()]
    return Group(table, *(Text(line, style="yellow") for line in unknown))


def factor_line(factor: Mapping[str, Any]) -> str:
    """A factor as it was entered."""
    name = " ".join(part for part in (factor["kind"], factor["subject"]) if part)
    periods = " by time of use, mean" if (factor["details"] or {}).get("periods") else ""
    value = f"{factor['value']} {_unit(factor['unit'])}".rstrip()
    whose = factor["site"] or "the lab"
    return f"{name}{periods} {value}, {_error(factor)}  {whose}, {_span(factor)}  " + _citation(
        factor
    )


def price_line(price: Mapping[str, Any]) -> str:
    """A row of the price book."""
    replaced = "  (replaced)" if price["replaced"] else ""
    return (
        f"{price['price_id']}  {price['amount']} {price['currency']} per device-hour of "
        f"{price['accelerator']}, {price['kind']}, {_span(price)}{replaced}  {price['id']}"
    )


def entered_line(prices: Sequence[Mapping[str, Any]]) -> str:
    """The number of prices in a file, and of those that become valid later."""
    planned = sorted(price["valid_from"] for price in prices if price["planned"])
    first = f", {len(planned)} of them planned: the first is valid from " if planned else ""
    return f"{len(prices)} prices entered{first}{_minute(planned[0]) if planned else ''}"


def prices_view(prices: Sequence[Mapping[str, Any]]) -> RenderableType:
    """The price book, one row a line; on narrow screens in several tables."""
    return FittedTable(
        "Price",
        [price["price_id"] for price in prices],
        [
            Figures("Accelerator", [price["accelerator"] for price in prices]),
            Figures("Kind", [price["kind"] for price in prices]),
            Figures("Amount", [f"{price['amount']} {price['currency']}" for price in prices]),
            Figures("From", [_begins(price) for price in prices]),
            Figures("To", [_ends(price) for price in prices]),
            Figures("ID", [price["id"] for price in prices]),
        ],
    )


def series_line(series: Mapping[str, Any]) -> str:
    """A series with its extent and its source."""
    return (
        f"{series['zone']}  {series['hours']} hours, {_minute(series['first'])} to "
        f"{_minute(series['last'])} UTC  {series['source']} ({series['basis']}; "
        f"{series['licence']})"
    )


def series_lines(series: Mapping[str, Any]) -> Iterator[str]:
    """A series of hourly intensities, and its gaps."""
    yield series_line(series)
    yield from gap_lines(series)


def forecast_line(forecast: Mapping[str, Any]) -> str:
    """A forecast with its extent and its source."""
    hours = forecast["hours"]
    return (
        f"{forecast['zone']}  {forecast['signal']}  {len(hours)} hours, "
        f"{_minute(hours[0]['hour'])} to {_minute(hours[-1]['hour'])} UTC  {forecast['source']} "
        f"({forecast['basis']}; {forecast['licence']})"
    )


def forecasts_lines(forecasts: Mapping[str, Any]) -> Iterator[str]:
    """The latest forecasts of a site, hour by hour, and the greenest start."""
    known = [each for each in (forecasts["average"], forecasts["marginal"]) if each is not None]
    for forecast in known:
        yield forecast_line(forecast)
    plan = forecasts["greenest"]
    if plan is None:
        yield f"No start: {forecasts['reason']}"
        return
    average, marginal = (
        {hour["hour"]: hour["g_per_kwh"] for hour in (forecasts[signal] or {"hours": []})["hours"]}
        for signal in ("average", "marginal")
    )
    begin = str(plan["earliest"])[:13]
    for hour, value in average.items():
        if hour[:13] < begin:
            continue
        beside = f"  marginal {number(marginal[hour])}" if hour in marginal else ""
        chosen = "  <- start" if hour[:13] == str(plan["start"])[:13] else ""
        yield f"  {_minute(hour)}  {number(value)} g/kWh{beside}{chosen}"
    yield from plan_lines(plan)


def gap_lines(series: Mapping[str, Any]) -> Iterator[str]:
    """The hours missing from a series."""
    gaps = series["gaps"]
    for gap in gaps[:MOST_GAPS]:
        yield f"  {gap['hours']} hours missing from {_minute(gap['first'])} UTC"
    if len(gaps) > MOST_GAPS:
        yield f"  and {len(gaps) - MOST_GAPS} more gaps"


def _unit(unit: str) -> str:
    return "" if unit == "1" else unit


def _origin(factor: Mapping[str, Any]) -> str:
    assumed = ", assumed" if factor["evidence"] == "assumed" else ""
    return f"{factor['origin']}{assumed}"


def _citation(factor: Mapping[str, Any]) -> str:
    year = f", {factor['year']}" if factor["year"] else ""
    return f"{factor['source']}{year}"


def _error(factor: Mapping[str, Any]) -> str:
    """One sigma: a share of the value, or a factor by which it is multiplied or divided."""
    ratio = factor["relative_std_ratio"]
    return (
        f"times or divided by {1 + ratio:g}" if factor["multiplicative"] else f"±{100 * ratio:.3g}%"
    )


def _span(row: Mapping[str, Any]) -> str:
    """The validity of a row, marked if it is planned."""
    ends = row.get("holds_until", row["valid_to"])
    until = f" to {_minute(ends)}" if ends else ""
    planned = "planned: valid " if row["planned"] else ""
    return f"{planned}from {_minute(row['valid_from'])}{until}"


def _begins(row: Mapping[str, Any]) -> str:
    planned = "planned " if row["planned"] else ""
    return f"{planned}{_day(row['valid_from'])}"


def _ends(price: Mapping[str, Any]) -> str:
    return "replaced" if price["replaced"] else _day(price["holds_until"])


def _minute(moment: str) -> str:
    return str(moment)[:16].replace("T", " ")


def _day(moment: str | None) -> str:
    return "" if moment is None else str(moment)[:10]
