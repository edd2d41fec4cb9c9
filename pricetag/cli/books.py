"""Commands about the price book and hourly carbon intensities."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import typer

from pricetag.cli.answering import answer, each
from pricetag.cli.console import EXIT_USAGE, CliError
from pricetag.cli.deprecated import Command
from pricetag.cli.factors import (
    OWN,
    License,
    Limit,
    Source,
    SourceUrl,
    Std,
    To,
    file_text,
    given,
    moment,
)
from pricetag.cli.negatives import FigureCommand
from pricetag.cli.options import Json, open_client, warn

PriceKind = Literal["on_demand", "spot", "reserved", "internal"]
FORMATS = {".csv": "csv", ".yaml": "yaml", ".yml": "yaml"}

price = typer.Typer(
    name="price",
    no_args_is_help=True,
    help="Manage the price book: what an hour of a device costs, in the cloud or in the lab.",
)
carbon = typer.Typer(
    name="carbon",
    no_args_is_help=True,
    help="Manage hourly carbon intensities of grid zones, from files or from a provider.",
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(price)
    app.add_typer(carbon)


@price.command(
    "add",
    cls=FigureCommand,
    epilog="Examples:\n\n"
    "pricetag price add cloud-h100 2.10 --accelerator H100 --provider 'a cloud' "
    "--currency EUR --kind spot --source 'list of 2026-01' --from 2026-01-01\n\n"
    "pricetag price add our-h100 --accelerator H100 --provider lab --currency EUR --kind internal "
    "--capex 28000 --lifetime-h 35040 --utilization 0.7 --source invoice --from 2025-06-01",
)
def add_price(
    ctx: typer.Context,
    price_id: Annotated[
        str,
        typer.Argument(
            metavar="PRICE_ID",
            help="Name of the price, e.g. aws-p4d. A later row of this name follows the earlier "
            "one in time.",
        ),
    ],
    accelerator: Annotated[
        str,
        typer.Option(
            help="Word in the product name of the accelerators that have this price, e.g. A100."
        ),
    ],
    provider: Annotated[str, typer.Option(help="Provider or owner of the accelerator.")],
    currency: Annotated[
        str, typer.Option(help="Currency as a three-letter ISO 4217 code, e.g. EUR.")
    ],
    kind: Annotated[
        PriceKind, typer.Option(help="Kind of price; internal: hardware that the lab owns.")
    ],
    source: Source,
    begin: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="TIME",
            help="Start of validity: a date such as 2026-01-01 (its first instant in UTC) or a "
            "time with zone.",
        ),
    ],
    amount: Annotated[
        str | None,
        typer.Argument(
            metavar="AMOUNT",
            help="Price per device-hour. Required, except for owned hardware: there it follows "
            "from --capex, --lifetime-h and --utilization.",
        ),
    ] = None,
    region: Annotated[str | None, typer.Option(help="Provider's region, e.g. eu-west-1.")] = None,
    license: License = OWN,
    source_url: SourceUrl = None,
    capex: Annotated[
        str | None,
        typer.Option(help="Purchase price per accelerator of owned hardware, instead of AMOUNT."),
    ] = None,
    lifetime_h: Annotated[
        str | None, typer.Option(help="Service life of the hardware (hours), with --capex.")
    ] = None,
    utilization: Annotated[
        str | None,
        typer.Option(help="Share of the service life in use, above 0 and up to 1, with --capex."),
    ] = None,
    replaces: Annotated[
        str | None, typer.Option(help="ID of an incorrect row of PRICE_ID that this one corrects.")
    ] = None,
    end: To = None,
    json: Json = False,
) -> None:
    """Add a price to the price book.

    Rows are never changed: a later row of the same PRICE_ID follows or corrects an earlier one.
    """
    from pricetag.cli.views.factors import price_line

    owned = given(capex=capex, lifetime_h=lifetime_h, utilisation_ratio=utilization)
    if owned and len(owned) < 3:
        raise CliError("use --capex, --lifetime-h and --utilization together", EXIT_USAGE)
    body = given(
        price_id=price_id,
        amount=amount,
        accelerator=accelerator,
        provider=provider,
        region=region,
        currency=currency,
        kind=kind,
        source=source,
        source_url=source_url,
        licence=license,
        ownership=owned or None,
        replaces=replaces,
        valid_from=moment(begin),
        valid_to=moment(end),
    )
    with open_client(ctx) as client:
        entered = client.enter_price(body)
    answer(ctx, json, entered, price_line)
    warn(ctx, json, entered)


@price.command("import", epilog="Example: pricetag price import prices.csv")
def import_prices(
    ctx: typer.Context,
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="Price file, CSV (.csv) or YAML (.yaml).")
    ],
    json: Json = False,
) -> None:
    """Import a file of prices: all of its rows, or none if one is invalid."""
    from pricetag.cli.views.factors import entered_line

    fmt = FORMATS.get(path.suffix.lower())
    if fmt is None:
        raise CliError(f"{path}: the name must end in {', '.join(FORMATS)}", EXIT_USAGE)
    with open_client(ctx) as client:
        entered = client.import_prices(file_text(path), fmt)
    answer(ctx, json, entered, entered_line)
    warn(ctx, json, {"warnings": [text for price in entered for text in price.get("warnings", ())]})


@price.command("list", epilog="Example: pricetag price list --accelerator H100")
def list_prices(
    ctx: typer.Context,
    accelerator: Annotated[
        str | None, typer.Option(help="Show only prices of this accelerator, e.g. H100.")
    ] = None,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List the prices of the price book, newest first."""
    from pricetag.cli.views.factors import prices_view

    with open_client(ctx) as client:
        items = list(islice(client.prices(accelerator=accelerator), limit))
    answer(ctx, json, items, prices_view, nothing="No prices have been entered.")


@carbon.command(
    "import",
    cls=Command,
    epilog="Example: pricetag carbon import de-2026.csv --zone DE --basis 'lifecycle, consumption' "
    "--source 'grid operator' --license 'CC BY 4.0'",
)
def import_carbon(
    ctx: typer.Context,
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV file with the header line hour,g_per_kwh.")
    ],
    zone: Annotated[str, typer.Option(help="Grid zone, e.g. DE or US-CA.")],
    basis: Annotated[
        str, typer.Option(help="What the figures include, e.g. 'lifecycle, consumption'.")
    ],
    source: Source,
    license: Annotated[str, typer.Option(help="License of the figures.")],
    source_url: SourceUrl = None,
    std: Std = None,
    json: Json = False,
) -> None:
    """Import a file of hourly carbon intensities: all of its hours, or none if one is invalid."""
    from pricetag.cli.views.factors import series_lines

    body = given(
        zone=zone,
        basis=basis,
        source=source,
        source_url=source_url,
        licence=license,
        relative_std_ratio=std,
        content=file_text(path),
    )
    with open_client(ctx) as client:
        series = client.import_carbon(body)
    answer(ctx, json, series, series_lines)


@carbon.command(
    "fetch",
    epilog="Example: pricetag carbon fetch --zone US-CA --provider-zone US-CAL-CISO "
    "--from 2026-03-01 --to 2026-04-01",
)
def fetch_carbon(
    ctx: typer.Context,
    zone: Annotated[str, typer.Option(help="Grid zone, e.g. DE or US-CA.")],
    begin: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="TIME",
            help="First hour to fetch: a date (UTC) or a time with zone.",
        ),
    ],
    end: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="TIME",
            help="End of the hours to fetch (exclusive): a date (UTC) or a time with zone.",
        ),
    ],
    provider: Annotated[
        str, typer.Option(help="Data provider for which the server has a token.")
    ] = "electricitymaps",
    provider_zone: Annotated[
        str | None,
        typer.Option(help="The provider's name of the zone. Default: the same as --zone."),
    ] = None,
    json: Json = False,
) -> None:
    """Let the server fetch hourly carbon intensities of a zone from a provider."""
    from pricetag.cli.views.factors import series_lines

    body = given(
        provider=provider,
        zone=zone,
        provider_zone=provider_zone,
        start=moment(begin),
        end=moment(end),
    )
    with open_client(ctx) as client:
        series = client.fetch_carbon(body)
    answer(ctx, json, series, series_lines)


@carbon.command(
    "fetch-forecast",
    epilog="Example: pricetag carbon fetch-forecast --zone GB --provider uk-carbon-intensity",
)
def fetch_forecast(
    ctx: typer.Context,
    zone: Annotated[str, typer.Option(help="Grid zone, e.g. DE or US-CA.")],
    provider: Annotated[
        str,
        typer.Option(
            help="Provider that is configured on the server: electricitymaps, "
            "uk-carbon-intensity, or watttime (marginal)."
        ),
    ] = "electricitymaps",
    provider_zone: Annotated[
        str | None,
        typer.Option(help="The provider's name of the zone. Default: the same as --zone."),
    ] = None,
    json: Json = False,
) -> None:
    """Let the server fetch a forecast of a zone's carbon intensity, for runs that wait for it."""
    from pricetag.cli.views.factors import forecast_line

    body = given(provider=provider, zone=zone, provider_zone=provider_zone)
    with open_client(ctx) as client:
        forecast = client.fetch_carbon_forecast(body)
    answer(ctx, json, forecast, forecast_line)


@carbon.command(
    "forecast", epilog="Example: pricetag carbon forecast --site berlin --within 24 --duration 6"
)
def show_forecast(
    ctx: typer.Context,
    site: Annotated[
        str | None, typer.Option(help="Site. Default: that of nodes without a site.")
    ] = None,
    within: Annotated[
        float, typer.Option(min=1, max=168, help="Longest time until the start (hours).")
    ] = 12,
    duration: Annotated[
        float, typer.Option(min=0.01, max=1000, help="Length of the run (hours).")
    ] = 4,
    json: Json = False,
) -> None:
    """Show the forecast carbon intensity of a site and the greenest start of a run."""
    from pricetag.cli.views.factors import forecasts_lines

    with open_client(ctx) as client:
        forecasts = client.carbon_forecasts(site, within_h=within, duration_h=duration)
    answer(ctx, json, forecasts, forecasts_lines)


@carbon.command("list", epilog="Example: pricetag carbon list --zone DE")
def list_carbon(
    ctx: typer.Context,
    zone: Annotated[str | None, typer.Option(help="Show only series of this grid zone.")] = None,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List the imported and fetched series of hourly carbon intensities, newest first."""
    from pricetag.cli.views.factors import series_line

    with open_client(ctx) as client:
        items = list(islice(client.carbon_series(zone=zone), limit))
    of_zone = "" if zone is None else f" for {zone}"
    nothing = f"No hourly carbon intensities have been entered{of_zone}."
    answer(ctx, json, items, each(series_line), nothing=nothing)
