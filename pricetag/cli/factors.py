"""Commands about sites and their factors."""

from __future__ import annotations

import datetime as dates
import math
import re
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from pricetag.accounting.bill.factor_kinds import FactorKind
from pricetag.accounting.quantity.quantity import Source as Evidence
from pricetag.cli.answering import answer, each
from pricetag.cli.console import EXIT_USAGE, CliError
from pricetag.cli.negatives import FigureCommand
from pricetag.cli.options import Json, open_client, warn
from pricetag.cli.pricing import moment_of
from pricetag.one_line import not_utf8

OWN = "the lab's own figure"
MOST_FILE_BYTES = 5_000_000

SiteArgument = Annotated[str, typer.Argument(metavar="SITE", help="Site name.")]
Zone = Annotated[
    str | None,
    typer.Option(help="Grid zone of the site: a country (DE) or a region of one (US-CA)."),
]
TimeZone = Annotated[
    str | None, typer.Option(help="IANA time zone of the site, e.g. Europe/Berlin.")
]
Currency = Annotated[str | None, typer.Option(help="Currency of the site, e.g. EUR (ISO 4217).")]
Description = Annotated[str | None, typer.Option(help="Description of the site.")]
Source = Annotated[str, typer.Option(help="Source to cite: publisher and document.")]
SourceUrl = Annotated[str | None, typer.Option(help="Web address of the source.")]
License = Annotated[str, typer.Option(help="License of the figure.")]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="TIME",
        help="Start of validity: a date such as 2026-01-01 (its first instant in UTC) or a time "
        "with zone. Default: now.",
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="TIME",
        help="End of validity (exclusive), in the same way as --from. Default: none.",
    ),
]


def _finite(ctx: typer.Context, option: typer.CallbackParam, value: float | None) -> float | None:
    """Rejects numbers that JSON cannot hold.

    Raises:
        BadParameter: If the value is NaN or infinite.
    """
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


Std = Annotated[
    float | None,
    typer.Option(
        help="Relative standard error (one sigma) as a ratio, e.g. 0.05 for 5%. Default: that of "
        "the kind of factor.",
        callback=_finite,
    ),
]
Limit = Annotated[int, typer.Option(min=1, help="Maximum number of rows.")]

site = typer.Typer(
    name="site",
    no_args_is_help=True,
    help="Manage sites: where nodes are, with their grid zone, time zone and factors.",
)
factor = typer.Typer(
    name="factor",
    no_args_is_help=True,
    help="Manage factors that turn energy into carbon, water and cost: PUE, carbon intensity, "
    "tariff, ...",
)

NO_SITES = "No sites yet. Create one with: pricetag site create NAME --zone ZONE"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(site)
    app.add_typer(factor)


def moment(text: str | None) -> str | None:
    """A date becomes its first instant in UTC; the server checks everything else."""
    return f"{text}T00:00:00Z" if text is not None and _DATE.fullmatch(text) else text


def given(**values: Any) -> dict[str, Any]:
    """The supplied values, without unset ones."""
    return {name: value for name, value in values.items() if value is not None}


def file_text(path: Path) -> str:
    """The text of a file to send.

    Raises:
        CliError: If it cannot be read, is too large or not UTF-8.
    """
    try:
        if path.stat().st_size > MOST_FILE_BYTES:
            raise CliError(f"{path} is larger than {MOST_FILE_BYTES:,} bytes; split it", EXIT_USAGE)
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CliError(f"cannot read {path}: {error.strerror}", EXIT_USAGE) from error
    except UnicodeDecodeError as error:
        raise CliError(f"{path} {not_utf8(error)}", EXIT_USAGE) from error


@site.command(
    "create",
    epilog="Example: pricetag site create berlin --zone DE --time-zone Europe/Berlin "
    "--currency EUR",
)
def create_site(
    ctx: typer.Context,
    name: SiteArgument,
    zone: Zone = None,
    time_zone: TimeZone = None,
    currency: Currency = None,
    description: Description = None,
    json: Json = False,
) -> None:
    """Create a site. Set PRICETAG_SITE to its name where its workers run."""
    from pricetag.cli.views.factors import site_line

    body = given(
        name=name,
        grid_zone=zone,
        time_zone=time_zone,
        currency=currency,
        description=description,
    )
    with open_client(ctx) as client:
        created = client.create_site(body)
    answer(ctx, json, created, site_line)


@site.command("list")
def list_sites(ctx: typer.Context, json: Json = False) -> None:
    """List all sites."""
    from pricetag.cli.views.factors import site_line

    with open_client(ctx) as client:
        items = client.sites()
    answer(ctx, json, items, each(site_line), nothing=NO_SITES)


@site.command("show", epilog="Example: pricetag site show berlin --as-of 2026-01-01")
def show_site(
    ctx: typer.Context,
    name: SiteArgument,
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Show the factors known at the end of a day (2026-03-01, UTC) or at a time. "
            "Default: those known now.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Show a site with the factors that apply there, and where each comes from."""
    from pricetag.cli.views.factors import site_parts

    then = None if as_of is None else moment_of(as_of, dates.datetime.now(dates.UTC))
    with open_client(ctx) as client:
        details = client.get_site(name, as_of=then)
    answer(ctx, json, details, site_parts)


@site.command("set", epilog="Example: pricetag site set berlin --zone FR")
def change_site(
    ctx: typer.Context,
    name: SiteArgument,
    zone: Zone = None,
    time_zone: TimeZone = None,
    currency: Currency = None,
    description: Description = None,
    json: Json = False,
) -> None:
    """Change a site; issued price tags keep their figures."""
    from pricetag.cli.views.factors import site_line

    changes = given(grid_zone=zone, time_zone=time_zone, currency=currency, description=description)
    if not changes:
        raise CliError("nothing to change; use an option, e.g. --zone DE", EXIT_USAGE)
    with open_client(ctx) as client:
        changed = client.change_site(name, changes)
    answer(ctx, json, changed, site_line)


@factor.command(
    "add",
    cls=FigureCommand,
    epilog="Examples:\n\n"
    "pricetag factor add pue 1.21 --site berlin --year 2025 --basis 'annual mean' "
    "--source 'energy report'\n\n"
    "pricetag factor add tariff --site berlin --periods tariff.yaml "
    "--year 2026 --basis contract --source 'contract of 2026'\n\n"
    "pricetag factor add calibration "
    "0.984 --subject GPU-6f0c --std 0.01 --year 2026 --basis 'wall meter' --source 'test of May'",
)
def add_factor(
    ctx: typer.Context,
    kind: Annotated[
        FactorKind,
        typer.Argument(
            metavar="KIND",
            help="Kind of factor, with its unit: pue (1), wue and water_intensity (l/kWh), "
            "carbon_location and carbon_market (g CO2e/kWh), tariff (currency/kWh), embodied (kg "
            "CO2e per piece), calibration (1).",
        ),
    ],
    source: Source,
    basis: Annotated[str, typer.Option(help="What the figure includes, e.g. 'annual mean'.")],
    value: Annotated[
        str | None,
        typer.Argument(
            metavar="VALUE",
            help="Value of the factor, in the unit of KIND. Required, except for a tariff with "
            "--periods.",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--site", help="Site that the factor belongs to. Default: the whole lab."),
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(
            help="What the factor applies to: UUID of a device (calibration), product name or "
            "'server' (embodied), grid zone (carbon_location or water_intensity of the lab)."
        ),
    ] = None,
    year: Annotated[
        int | None, typer.Option(help="Year that the figure describes. Default: the current year.")
    ] = None,
    license: License = OWN,
    source_url: SourceUrl = None,
    std: Std = None,
    evidence: Annotated[Evidence, typer.Option(help="How the figure was obtained.")] = "estimated",
    periods: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="YAML file with the periods of a time-of-use tariff: days, from, to, price.",
        ),
    ] = None,
    lifetime_h: Annotated[
        float | None,
        typer.Option(help="Service life of the hardware (hours), for embodied.", callback=_finite),
    ] = None,
    utilization: Annotated[
        float | None,
        typer.Option(
            help="Share of the service life in use, above 0 and up to 1, for embodied.",
            callback=_finite,
        ),
    ] = None,
    per_server: Annotated[
        int | None, typer.Option(help="Number of accelerators per server, for embodied.")
    ] = None,
    begin: From = None,
    end: To = None,
    preview: Annotated[
        bool,
        typer.Option("--preview", help="Show what the factor would change, without adding it."),
    ] = False,
    json: Json = False,
) -> None:
    """Add a factor of a site or of the lab, with its source.

    Entries are never changed: the latest one that is valid applies.
    """
    from pricetag.cli.views.factor_preview import preview_parts
    from pricetag.cli.views.factors import factor_line

    details = given(
        periods=None if periods is None else _periods(periods),
        lifetime_h=lifetime_h,
        utilisation_ratio=utilization,
        accelerators_per_server=per_server,
    )
    body = given(
        kind=kind,
        value=value,
        subject=subject,
        year=year or dates.datetime.now(dates.UTC).year,
        basis=basis,
        source=source,
        source_url=source_url,
        licence=license,
        relative_std_ratio=std,
        evidence=evidence,
        details=details or None,
        valid_from=moment(begin),
        valid_to=moment(end),
    )
    with open_client(ctx) as client:
        send = client.preview_factor if preview else client.enter_factor
        response = send(body, site=at)
    answer(ctx, json, response, preview_parts if preview else factor_line)
    warn(ctx, json, response)


@factor.command("list", epilog="Example: pricetag factor list --site berlin --kind pue")
def list_factors(
    ctx: typer.Context,
    at: Annotated[
        str | None, typer.Option("--site", help="Show only factors of this site.")
    ] = None,
    kind: Annotated[FactorKind | None, typer.Option(help="Show only factors of this kind.")] = None,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List the factors that were entered, newest first."""
    from pricetag.cli.views.factors import factor_line

    with open_client(ctx) as client:
        items = list(islice(client.factors(site=at, kind=kind), limit))
    answer(ctx, json, items, each(factor_line), nothing="No factors have been entered.")


def _periods(path: Path) -> Any:
    from pricetag.recipes.yaml_text import YamlError, parse_yaml

    try:
        periods = parse_yaml(file_text(path))
    except YamlError as error:
        raise CliError(f"{path} is not YAML: {error}", EXIT_USAGE) from error
    if isinstance(periods, dict) and set(periods) == {"periods"}:
        periods = periods["periods"]
    if not isinstance(periods, list):
        raise CliError(f"{path} is not a list of periods with days, from, to and price", EXIT_USAGE)
    return periods
