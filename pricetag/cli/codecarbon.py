"""``pricetag codecarbon``: settings for CodeCarbon's unmodified clients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from pricetag.cli.answering import answer
from pricetag.cli.console import EXIT_USAGE, CliError
from pricetag.cli.options import NO_TOKEN, Json, given

EXAMPLE = "Example: pricetag codecarbon --project reviews > ~/.codecarbon.config"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("codecarbon", epilog=EXAMPLE)(codecarbon)


def codecarbon(
    ctx: typer.Context,
    project: Annotated[str, typer.Option(help="Project of the runs; created if it is missing.")],
    experiment: Annotated[str, typer.Option(help="Experiment of the runs.")] = "codecarbon",
    sums: Annotated[
        bool,
        typer.Option(
            "--sums",
            help="Send the sum so far at each flush and at the end, in place of differences every "
            "few minutes: a lost request loses nothing, and the PUE is stated.",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Print the settings with which CodeCarbon sends its measurements to the server.

    The output is a `.codecarbon.config` for the home folder or the folder of a program, whose code
    stays as it is. It contains your token: use one with the role ingest (`pricetag token create
    --role ingest`), and keep the file to yourself. Nothing is sent now.
    """
    from pricetag.cli.connection import resolve

    options = given(ctx)
    connection = resolve(options.url, options.token)
    if connection.token is None:
        raise CliError(NO_TOKEN, EXIT_USAGE)
    base = f"{connection.url.rstrip('/')}/codecarbon"
    settings = {"experiment_id": f"{project}/{experiment}"}
    if sums:
        settings |= {"emissions_endpoint": f"{base}/records/{connection.token}"}
    else:
        settings |= {
            "output_methods": "csv,api",
            "api_endpoint": base,
            "api_key": connection.token,
        }
    answer(ctx, json, settings, _file)


def _file(settings: Mapping[str, Any]) -> Iterator[str]:
    yield "[codecarbon]"
    for name, value in settings.items():
        yield f"{name} = {value}"
