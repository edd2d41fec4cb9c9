"""The command about where the lab's energy went."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import typer

from pricetag.cli.answering import answer
from pricetag.cli.options import Json, open_client

By = Literal["node", "component", "site", "project", "user", "hour", "day", "month"]

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


EXAMPLES = (
    "Examples:\n\n"
    "pricetag energy --by project --failed\n\n"
    "pricetag energy --from 2026-03-01 --to 2026-04-01 --by day"
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("energy", epilog=EXAMPLES)(energy)


def energy(
    ctx: typer.Context,
    node: Annotated[str | None, typer.Option(help="Show only the node with this name.")] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="TIME",
            help="Start of the range: a date (UTC) or a full hour, e.g. 2026-03-01T06:00Z. "
            "Default: 7 days before --to.",
        ),
    ] = None,
    stop: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="TIME",
            help="End of the range (exclusive), written like --from. Default: end of this hour.",
        ),
    ] = None,
    by: Annotated[
        By, typer.Option(help="Grouping of the energy: one row for each node, project, ...")
    ] = "node",
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare with the period of the same length before.")
    ] = False,
    failed: Annotated[
        bool, typer.Option("--failed", help="Show the share of energy that led to no result.")
    ] = False,
    json: Json = False,
) -> None:
    """Show where the lab's energy went: used by nodes, charged to runs, and unallocated.

    Unallocated energy is what nodes use outside runs, mostly idle power.
    """
    from pricetag.cli.views.energy import energy_view

    with open_client(ctx) as client:
        account = client.energy(
            start=_moment(start),
            stop=_moment(stop),
            by=by,
            node=node,
            compare=compare,
            failed=failed,
        )
    answer(ctx, json, account, energy_view)


def _moment(text: str | None) -> str | None:
    """A date becomes its first hour in UTC; the server checks everything else."""
    return f"{text}T00:00:00Z" if text is not None and _DATE.fullmatch(text) else text
