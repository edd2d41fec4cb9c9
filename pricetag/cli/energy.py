"""The command about where the lab's energy went."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import typer

from pricetag.cli.answering import answer
from pricetag.cli.options import Json, open_client
from pricetag.cli.views.energy import energy_view

By = Literal["node", "component", "site", "project", "user", "hour", "day", "month"]

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("energy", rich_help_panel="Runs")(energy)


def energy(
    ctx: typer.Context,
    node: Annotated[str | None, typer.Option(help="Show only this node.")] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", help="Start, a date or full hour (UTC). Default: 7 days before --to."
        ),
    ] = None,
    stop: Annotated[
        str | None,
        typer.Option(
            "--to",
            help="End (exclusive), a date or full hour (UTC). Default: the end of this hour.",
        ),
    ] = None,
    by: Annotated[By, typer.Option(help="Grouping of the rows.")] = "node",
    json: Json = False,
) -> None:
    """Show the lab's energy account: used by nodes, charged to runs, unallocated."""
    with open_client(ctx) as client:
        account = client.energy(start=_moment(start), stop=_moment(stop), by=by, node=node)
    answer(ctx, json, account, energy_view)


def _moment(text: str | None) -> str | None:
    """A date is its first hour of UTC; everything else is for the server to judge."""
    return f"{text}T00:00:00Z" if text is not None and _DATE.fullmatch(text) else text
