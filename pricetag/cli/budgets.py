"""Commands about budgets, and the audit log of who changed what."""

from __future__ import annotations

import uuid
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pricetag.cli.answering import answer, each
from pricetag.cli.console import EXIT_USAGE, CliError
from pricetag.cli.options import Json, open_client
from pricetag.cli.views.budgets import alert_line, audit_line, budget_lines, budgets_view

if TYPE_CHECKING:
    from pricetag.client import Client

PANEL = "Budgets"
Metric = Literal["facility_energy_kwh", "co2e_kg", "cost"]
Period = Literal["total", "week", "month", "quarter", "year"]
BudgetArgument = Annotated[str, typer.Argument(metavar="BUDGET", help="Its name or its id.")]
WarnAt = Annotated[
    list[float] | None,
    typer.Option(help="Part of the amount at which to warn, such as 0.8 (repeatable)."),
]

budget = typer.Typer(name="budget", no_args_is_help=True, help="What may be used, and is left.")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(budget, rich_help_panel=PANEL)
    app.command("audit", rich_help_panel=PANEL)(audit)


@budget.command("create")
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the new budget.")],
    amount: Annotated[str, typer.Option(help="What may be used: kWh, kg or money.")],
    metric: Annotated[Metric, typer.Option(help="Of what.")] = "facility_energy_kwh",
    currency: Annotated[str | None, typer.Option(help="Of a cost, such as EUR.")] = None,
    period: Annotated[Period, typer.Option(help="In which it may be used.")] = "total",
    time_zone: Annotated[str, typer.Option(help="Of the period's edges.")] = "UTC",
    project: Annotated[str | None, typer.Option(help="Of this project.")] = None,
    experiment: Annotated[
        str | None, typer.Option(help="Of this experiment of the project.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="Of this token: its name or id.")] = None,
    warn_at: WarnAt = None,
    refuse: Annotated[bool, typer.Option(help="Refuse runs that would break it.")] = True,
    stop: Annotated[bool, typer.Option(help="Stop running jobs once it is used up.")] = True,
    json: Json = False,
) -> None:
    """Make a budget: of a project, an experiment or a user; of the whole lab without any."""
    body: dict[str, Any] = {
        "name": name,
        "scope": _scope(project, experiment, user),
        "project": project,
        "experiment": experiment,
        "user": user,
        "metric": metric,
        "currency": currency,
        "amount": amount,
        "period": period,
        "time_zone": time_zone,
        "refuses": refuse,
        "stops": stop,
    }
    if warn_at is not None:
        body["thresholds"] = warn_at
    with open_client(ctx) as client:
        made = client.create_budget(
            {key: value for key, value in body.items() if value is not None}
        )
    answer(ctx, json, made, budget_lines)


def _scope(project: str | None, experiment: str | None, user: str | None) -> str:
    if user is not None and project is not None:
        raise CliError("give --user or --project, not both", EXIT_USAGE)
    if experiment is not None and project is None:
        raise CliError("--experiment needs the --project that it is of", EXIT_USAGE)
    if user is not None:
        return "user"
    if experiment is not None:
        return "experiment"
    return "project" if project is not None else "lab"


@budget.command("list")
def list_budgets(
    ctx: typer.Context,
    closed: Annotated[bool, typer.Option("--closed", help="Closed ones too.")] = False,
    json: Json = False,
) -> None:
    """List budgets with what is left of each."""
    with open_client(ctx) as client:
        found = list(client.budgets(closed=closed))
    answer(ctx, json, found, budgets_view, nothing="no budget")


@budget.command("show")
def show(ctx: typer.Context, named: BudgetArgument, json: Json = False) -> None:
    """Show what was spent of a budget, is being spent, is promised and is left."""
    with open_client(ctx) as client:
        found = client.get_budget(budget_id(client, named))
    answer(ctx, json, found, budget_lines)


@budget.command("set")
def change(
    ctx: typer.Context,
    named: BudgetArgument,
    amount: Annotated[str | None, typer.Option(help="What may be used.")] = None,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    warn_at: WarnAt = None,
    refuse: Annotated[
        bool | None, typer.Option("--refuse/--no-refuse", help="Runs that would break it.")
    ] = None,
    stop: Annotated[
        bool | None, typer.Option("--stop/--no-stop", help="Running jobs once it is used up.")
    ] = None,
    json: Json = False,
) -> None:
    """Change a budget; what is not named stays as it is."""
    wanted = {
        "amount": amount,
        "name": name,
        "thresholds": warn_at or None,
        "refuses": refuse,
        "stops": stop,
    }
    changes = {key: value for key, value in wanted.items() if value is not None}
    if not changes:
        raise CliError("name what to change, such as --amount 20", EXIT_USAGE)
    with open_client(ctx) as client:
        changed = client.change_budget(budget_id(client, named), changes)
    answer(ctx, json, changed, budget_lines)


@budget.command("close")
def close(ctx: typer.Context, named: BudgetArgument, json: Json = False) -> None:
    """End a budget: it refuses and stops nothing any more, and stays to be read."""
    with open_client(ctx) as client:
        closed = client.close_budget(budget_id(client, named))
    answer(ctx, json, closed, lambda ended: f"'{ended['name']}' is closed")


@budget.command("alerts")
def alerts(
    ctx: typer.Context,
    named: Annotated[
        str | None, typer.Argument(metavar="[BUDGET]", help="Only of this one.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    json: Json = False,
) -> None:
    """List the thresholds that were crossed, the newest first."""
    with open_client(ctx) as client:
        chosen = None if named is None else budget_id(client, named)
        found = list(islice(client.budget_alerts(chosen), limit))
    answer(ctx, json, found, each(alert_line), nothing="no threshold was crossed")


def audit(
    ctx: typer.Context,
    kind: Annotated[str | None, typer.Option(help="Of what: budget, token, price...")] = None,
    object_id: Annotated[str | None, typer.Option("--id", help="Of this one.")] = None,
    actor: Annotated[str | None, typer.Option(help="By this token's name.")] = None,
    since: Annotated[str | None, typer.Option(help="From then on, ISO 8601 with zone.")] = None,
    until: Annotated[str | None, typer.Option(help="Before then.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    json: Json = False,
) -> None:
    """List who changed what, the newest first. For admins."""
    filters = {
        "object_kind": kind,
        "object_id": object_id,
        "actor": actor,
        "since": since,
        "until": until,
    }
    with open_client(ctx) as client:
        found = list(islice(client.audit(**filters), limit))
    answer(ctx, json, found, each(audit_line), nothing="no entry")


def budget_id(client: Client, named: str) -> str:
    """The id of the budget that a text names.

    Raises:
        CliError: If there is none.
    """
    try:
        return str(uuid.UUID(named))
    except ValueError:
        pass
    for found in client.budgets(name=named, closed=True):
        return str(found["id"])
    raise CliError(f"there is no budget {named!r}; `pricetag budget list --closed` has them all")
