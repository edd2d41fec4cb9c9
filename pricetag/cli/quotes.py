"""Commands about what a run will cost: quote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pricetag.cli.answering import answer
from pricetag.cli.console import EXIT_USAGE, CliError
from pricetag.cli.options import RUN_HELP, Json, open_client


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("quote", epilog="Example: pricetag quote job.yaml")(quote)


def quote(
    ctx: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Job file to quote, YAML or JSON.")
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN", help=f"Show the quote stored with a submitted run: {RUN_HELP}."
        ),
    ] = None,
    score: Annotated[
        bool,
        typer.Option("--score", help="Show how well past quotes matched the measured figures."),
    ] = False,
    json: Json = False,
) -> None:
    """Estimate the energy, emissions and cost of a job file before it runs, from similar runs.

    The server knows the similar runs. Use one of FILE, --run and --score. `pricetag estimate`
    needs neither a job file nor a server, but figures of your own.
    """
    from pricetag.cli.views.quote import quote_view, score_view

    if (file is not None) + (run is not None) + score != 1:
        raise CliError("use one of FILE, --run RUN and --score", EXIT_USAGE)
    if file is not None:
        show_quote(ctx, file, json)
        return
    with open_client(ctx) as client:
        if run is not None:
            from pricetag.cli.find import run_id

            response = client.run_quote(run_id(client, run))
        else:
            response = client.quote_score()
    answer(ctx, json, response, score_view if score else quote_view)


def show_quote(ctx: typer.Context, file: Path, json: bool) -> None:
    """Prints the quote of a run that a file describes.

    Raises:
        CliError: If the file cannot be read or the server rejects the described run.
    """
    from pricetag.cli.views.quote import quote_view

    described = described_run(file)
    with open_client(ctx) as client:
        response = client.quote_run(described)
    answer(ctx, json, response, quote_view)


def described_run(file: Path) -> dict[str, Any]:
    """The run that a job file describes, for the API.

    Raises:
        CliError: If the file cannot be read or does not describe a run.
    """
    from pricetag.recipes import RecipeError, load_run_file

    try:
        return load_run_file(file).model_dump(mode="json")
    except RecipeError as error:
        raise CliError(str(error), EXIT_USAGE) from error
