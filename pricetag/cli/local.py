"""Commands that need no server: estimate, doctor, recipes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pricetag.cli.answering import answer
from pricetag.cli.checkout import load
from pricetag.cli.console import EXIT_FAILURE, EXIT_USAGE, CliError
from pricetag.cli.options import Json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pricetag.accounting.quantity.checks import InvalidFactor


ESTIMATE_EXAMPLE = (
    "Example: pricetag estimate --devices 4 --device-power-w 300 --hours 10 --pue 1.2 "
    "--grid-g-per-kwh 380"
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("estimate", epilog=ESTIMATE_EXAMPLE)(estimate)
    app.command("doctor")(doctor)
    app.command("recipes", epilog="Example: pricetag recipes distill")(recipes)


def estimate(
    ctx: typer.Context,
    devices: Annotated[int, typer.Option(help="Number of devices.")],
    device_power_w: Annotated[float, typer.Option(help="Mean power of one device (W).")],
    hours: Annotated[float, typer.Option(help="Duration of the job (hours).")],
    pue: Annotated[float, typer.Option(help="Power usage effectiveness of the site (1 or more).")],
    grid_g_per_kwh: Annotated[
        float, typer.Option(help="Carbon intensity of the electricity (g CO2e per kWh).")
    ],
    price_low: Annotated[
        float | None, typer.Option(help="Price per device-hour if preemptible (spot): the low end.")
    ] = None,
    price_high: Annotated[
        float | None, typer.Option(help="Price per device-hour on demand: the high end.")
    ] = None,
    price_devices: Annotated[
        int | None,
        typer.Option(help="Number of devices that the prices apply to. Default: --devices."),
    ] = None,
    currency: Annotated[str, typer.Option(help="Currency of the prices (ISO 4217).")] = "USD",
    json: Json = False,
) -> None:
    """Compute energy, emissions and cost from figures of your own: devices, W, hours, PUE.

    Nothing is measured. `pricetag quote` estimates a job file from similar runs instead.
    """
    from pricetag.accounting.bill.estimate import estimate as calculate
    from pricetag.accounting.quantity.checks import InvalidFigures
    from pricetag.catalog import currency_codes
    from pricetag.cli.views.estimate import estimate_view

    messages: list[str] = []
    if re.fullmatch(r"[A-Z]{3}", currency) and currency not in currency_codes():
        messages.append(
            f"--currency is {currency!r}: use the ISO 4217 code of a currency in use, e.g. EUR"
        )
    try:
        result = calculate(
            devices,
            device_power_w,
            hours,
            pue,
            grid_g_per_kwh,
            price_low,
            price_high,
            price_devices=price_devices,
            currency=currency,
        )
    except InvalidFigures as error:
        messages = [*map(_naming_the_option, error.faults), *messages]
    if messages:
        raise CliError("; ".join(messages), EXIT_USAGE)
    figures = {
        name: float(value) if isinstance(value, Decimal) else value
        for name, value in asdict(result).items()
    }
    answer(ctx, json, figures, estimate_view)


def _naming_the_option(error: InvalidFactor) -> str:
    option = "--" + error.field.replace("_", "-")
    return str(error).replace(error.field, option, 1)


def doctor(ctx: typer.Context, json: Json = False) -> None:
    """Show which energy meters this machine has, and how to enable the others.

    It also checks the settings of a server or worker here; exit code 1 means that one is invalid.
    """
    from pricetag.cli.views.doctor import doctor_view
    from pricetag.metering import MeterSettingError
    from pricetag.metering.doctor import examine

    try:
        report = examine()
    except MeterSettingError as error:
        raise CliError(str(error), EXIT_USAGE) from error
    fault = _settings_fault()
    data = report.as_dict() | {"settings_fault": fault}
    answer(ctx, json, data, lambda _: doctor_view(report, fault))
    if fault is not None:
        raise typer.Exit(EXIT_FAILURE)


def _settings_fault() -> str | None:
    """The first error in the settings of a server or worker here; None without a checkout."""
    try:
        read = load("app.settings", "get_settings")
    except CliError:
        return None  # the library alone: there is nothing that reads them
    try:
        read()
    except ValueError as error:
        return str(error)
    return None


def recipes(
    ctx: typer.Context,
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND",
            help="Stage kind whose options to show, e.g. distill. Default: list all kinds.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List what jobs can do: the stage kinds of recipes, such as train, or the options of one.

    The `recipe` of a job file has `stages`, each with a `kind` and its options. A local run needs
    no recipe: `pricetag run`.
    """
    from pricetag.cli.views.recipes import recipe_view
    from pricetag.recipes import describe

    entries = describe()
    if kind is not None:
        kinds = [entry["kind"] for entry in entries]
        entries = [entry for entry in entries if entry["kind"] == kind]
        if not entries:
            near = " or ".join(map(repr, difflib.get_close_matches(kind, kinds, 3)))
            hint = f" (did you mean {near}?)" if near else ""
            raise CliError(
                f"unknown stage kind {kind!r}{hint}; `pricetag recipes` lists all", EXIT_FAILURE
            )
    if kind is None:
        answer(ctx, json, entries, _recipes_parts)
    else:
        answer(ctx, json, entries[0], recipe_view)


def _recipes_parts(entries: Sequence[dict[str, Any]]) -> Iterator[str | RenderableType]:
    from pricetag.cli.views.recipes import recipes_view

    yield recipes_view(entries)
    yield "`pricetag recipes KIND` shows the options of a kind."
