"""Commands about sites, and what their energy is multiplied with."""

from __future__ import annotations

import datetime as dates
import math
import re
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pricetag.cli.answering import answer, each
from pricetag.cli.console import EXIT_USAGE, CliError
from pricetag.cli.negatives import FigureCommand
from pricetag.cli.options import Json, open_client, warn
from pricetag.cli.pricing import moment_of
from pricetag.cli.views.factors import factor_line, site_line, site_parts

PANEL = "Sites and factors"
OWN = "the lab's own figure"
MOST_FILE_BYTES = 5_000_000

Kind = Literal[
    "pue",
    "wue",
    "water_intensity",
    "carbon_location",
    "carbon_market",
    "tariff",
    "embodied",
    "calibration",
]
Evidence = Literal["counter", "integrated", "modelled", "estimated", "assumed"]
SiteArgument = Annotated[str, typer.Argument(metavar="SITE", help="Its name.")]
Zone = Annotated[
    str | None, typer.Option(help="Grid zone: a country (DE) or a part of one (US-CA).")
]
TimeZone = Annotated[str | None, typer.Option(help="Of its clocks, such as Europe/Berlin.")]
Currency = Annotated[str | None, typer.Option(help="Three letters, such as EUR.")]
Description = Annotated[str | None, typer.Option(help="What people should know about it.")]
Source = Annotated[str, typer.Option(help="Who says so, and where.")]
SourceUrl = Annotated[str | None, typer.Option(help="Where it can be read.")]
Licence = Annotated[str, typer.Option(help="Under which it may be shown.")]
From = Annotated[str | None, typer.Option("--from", help="A date (UTC) or a time with its zone.")]
To = Annotated[
    str | None, typer.Option("--to", help="The same, exclusive; without end by default.")
]


def _finite(ctx: typer.Context, option: typer.CallbackParam, value: float | None) -> float | None:
    """Refuses what JSON cannot hold.

    Raises:
        BadParameter: If the value is NaN or infinite.
    """
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no finite number")
    return value


Std = Annotated[float | None, typer.Option(help="Relative error, one sigma.", callback=_finite)]
Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]

site = typer.Typer(name="site", no_args_is_help=True, help="Where nodes stand.")
factor = typer.Typer(
    name="factor", no_args_is_help=True, help="What a site's energy is multiplied with."
)

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(site, rich_help_panel=PANEL)
    app.add_typer(factor, rich_help_panel=PANEL)


def moment(text: str | None) -> str | None:
    """A date is its first instant of UTC; everything else is for the server to judge."""
    return f"{text}T00:00:00Z" if text is not None and _DATE.fullmatch(text) else text


def given(**values: Any) -> dict[str, Any]:
    """What was told, without what was not."""
    return {name: value for name, value in values.items() if value is not None}


def file_text(path: Path) -> str:
    """The text of a file to be sent.

    Raises:
        CliError: If it cannot be read, is too large or no UTF-8.
    """
    try:
        if path.stat().st_size > MOST_FILE_BYTES:
            raise CliError(f"{path} is larger than {MOST_FILE_BYTES} bytes: split it", EXIT_USAGE)
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}", EXIT_USAGE) from error
    except UnicodeDecodeError as error:
        raise CliError(f"{path} is not UTF-8: byte {error.start}", EXIT_USAGE) from error


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
    """Make a site; its workers name it as PRICETAG_SITE."""
    body = given(
        name=name,
        grid_zone=zone,
        time_zone=time_zone,
        currency=currency,
        description=description,
    )
    with open_client(ctx) as client:
        made = client.create_site(body)
    answer(ctx, json, made, site_line)


@site.command("list")
def list_sites(ctx: typer.Context, json: Json = False) -> None:
    """List sites."""
    with open_client(ctx) as client:
        found = client.sites()
    answer(ctx, json, found, each(site_line), nothing="no site")


@site.command("show", epilog="Example: pricetag site show berlin --as-of 2026-01-01")
def show_site(
    ctx: typer.Context,
    name: SiteArgument,
    as_of: Annotated[
        str | None,
        typer.Option(help="As the book stood at the end of this day (2026-03-01), or then."),
    ] = None,
    json: Json = False,
) -> None:
    """Show a site with the factors that hold now, and where each is from."""
    then = None if as_of is None else moment_of(as_of, dates.datetime.now(dates.UTC))
    with open_client(ctx) as client:
        found = client.get_site(name, as_of=then)
    answer(ctx, json, found, site_parts)


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
    """Change a site; what is not named stays, and price tags that were issued keep theirs."""
    changes = given(grid_zone=zone, time_zone=time_zone, currency=currency, description=description)
    if not changes:
        raise CliError("name what to change, such as --zone DE", EXIT_USAGE)
    with open_client(ctx) as client:
        changed = client.change_site(name, changes)
    answer(ctx, json, changed, site_line)


@factor.command(
    "add",
    cls=FigureCommand,
    epilog="Examples: pricetag factor add pue 1.21 --site berlin --year 2025 --basis 'annual mean' "
    "--source 'energy report'; pricetag factor add tariff --site berlin --periods tariff.yaml "
    "--year 2026 --basis contract --source 'contract of 2026'; pricetag factor add calibration "
    "0.984 --subject GPU-6f0c --std 0.01 --year 2026 --basis 'wall meter' --source 'test of May'",
)
def add_factor(
    ctx: typer.Context,
    kind: Annotated[Kind, typer.Argument(help="Of the factor.")],
    source: Source,
    basis: Annotated[str, typer.Option(help="What it counts.")],
    value: Annotated[
        str | None, typer.Argument(metavar="VALUE", help="Not for a tariff with --periods.")
    ] = None,
    at: Annotated[
        str | None, typer.Option("--site", help="Of this site; of the whole lab without it.")
    ] = None,
    subject: Annotated[
        str | None, typer.Option(help="Device UUID, product name or server, or the lab's zone.")
    ] = None,
    year: Annotated[
        int | None, typer.Option(help="That it describes; this one by default.")
    ] = None,
    licence: Licence = OWN,
    source_url: SourceUrl = None,
    std: Std = None,
    evidence: Annotated[Evidence, typer.Option(help="How it was had.")] = "estimated",
    periods: Annotated[
        Path | None, typer.Option(help="YAML list of a tariff's periods: days, from, to, price.")
    ] = None,
    lifetime_h: Annotated[
        float | None, typer.Option(help="Of embodied hardware.", callback=_finite)
    ] = None,
    utilisation: Annotated[
        float | None, typer.Option(help="Part of it in use, 0 to 1.", callback=_finite)
    ] = None,
    per_server: Annotated[int | None, typer.Option(help="Accelerators in a server.")] = None,
    begin: From = None,
    end: To = None,
    json: Json = False,
) -> None:
    """Enter a factor with its source; it is never changed, a later one goes before it."""
    details = given(
        periods=None if periods is None else _periods(periods),
        lifetime_h=lifetime_h,
        utilisation_ratio=utilisation,
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
        licence=licence,
        relative_std_ratio=std,
        evidence=evidence,
        details=details or None,
        valid_from=moment(begin),
        valid_to=moment(end),
    )
    with open_client(ctx) as client:
        made = client.enter_factor(body, site=at)
    answer(ctx, json, made, factor_line)
    warn(ctx, json, made)


@factor.command("list", epilog="Example: pricetag factor list --site berlin --kind pue")
def list_factors(
    ctx: typer.Context,
    at: Annotated[str | None, typer.Option("--site", help="Of this site alone.")] = None,
    kind: Annotated[Kind | None, typer.Option(help="Of this kind alone.")] = None,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List factors as they were entered, the newest first."""
    with open_client(ctx) as client:
        found = list(islice(client.factors(site=at, kind=kind), limit))
    answer(ctx, json, found, each(factor_line), nothing="no factor was entered")


def _periods(path: Path) -> Any:
    from pricetag.recipes.yaml_text import YamlError, parse_yaml

    try:
        told = parse_yaml(file_text(path))
    except YamlError as error:
        raise CliError(f"{path} is not YAML: {error}", EXIT_USAGE) from error
    if isinstance(told, dict) and set(told) == {"periods"}:
        told = told["periods"]
    if not isinstance(told, list):
        raise CliError(f"{path} is no list of periods, each days, from, to, price", EXIT_USAGE)
    return told
