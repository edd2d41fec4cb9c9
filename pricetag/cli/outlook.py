"""Commands about the future of budgets: which are used up first, and the effect of a change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pricetag.cli.answering import answer
from pricetag.cli.budgets import BudgetArgument, budget, budget_id
from pricetag.cli.console import EXIT_USAGE, CliError, complain
from pricetag.cli.find import run_id
from pricetag.cli.options import RUN_HELP, Json, open_client
from pricetag.cli.quotes import described_run


def register(_: typer.Typer) -> None:
    """Adds the commands to those about budgets."""
    budget.command("outlook")(outlook)
    example = "Example: pricetag budget what-if lab --without last"
    budget.command("what-if", epilog=example)(what_if)


def outlook(ctx: typer.Context, json: Json = False) -> None:
    """List the open budgets in the order in which their open runs will use them up.

    Budgets that are not expected to reach their limit come last, by the share that is used.
    """
    from pricetag.cli.views.outlook import outlook_view

    with open_client(ctx) as client:
        items = client.budget_outlook()
    answer(ctx, json, items, outlook_view, nothing="No open budgets.")


def what_if(
    ctx: typer.Context,
    named: BudgetArgument,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="RUN", help=f"Open run to leave aside (repeatable): {RUN_HELP}."),
    ] = None,
    job: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Job file to add as a run, YAML or JSON."),
    ] = None,
    json: Json = False,
) -> None:
    """Show how a budget would end up without some of its open runs, or with one more.

    Nothing is changed, submitted or reserved.
    """
    from pricetag.cli.views.outlook import what_if_lines

    if not without and job is None:
        raise CliError("use --without RUN or --job FILE", EXIT_USAGE)
    added = None if job is None else described_run(job)
    with open_client(ctx) as client:
        skipped = [run_id(client, text) for text in without or ()]
        change = client.what_if(budget_id(client, named), without=skipped, run=added)
    if skipped and added is None and change["before"] == change["burn_down"]["expected"]:
        complain("warning: no run of --without is open under this budget")
    answer(ctx, json, change, what_if_lines)
