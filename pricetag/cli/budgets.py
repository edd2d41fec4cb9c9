"""Commands about budgets, and the audit log of who changed what."""

from __future__ import annotations

import uuid
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pricetag.cli.answering import answer, each
from pricetag.cli.console import EXIT_USAGE, CliError
from pricetag.cli.factors import moment
from pricetag.cli.options import Json, open_client

if TYPE_CHECKING:
    from pricetag.client import Client

Metric = Literal["facility_energy_kwh", "co2e_kg", "cost"]
AuditKind = Literal[
    "budget",
    "carbon_forecast",
    "carbon_series",
    "factor",
    "member",
    "price",
    "project",
    "run",
    "session",
    "share",
    "sign_in_link",
    "site",
    "token",
    "user",
]
AuditAccess = Literal["token", "session", "direct-database", "service"]
Period = Literal["total", "week", "month", "quarter", "year"]
BudgetArgument = Annotated[str, typer.Argument(metavar="BUDGET", help="Budget name or ID.")]
WarnAt = Annotated[
    list[float] | None,
    typer.Option(
        metavar="SHARE",
        help="Warn when this share of the amount is used, above 0 and up to 1, e.g. 0.8 "
        "(repeatable).",
    ),
]

budget = typer.Typer(
    name="budget",
    no_args_is_help=True,
    help="Manage budgets of energy, carbon or money, which warn, reject runs or stop them.",
)

NO_BUDGETS = "No budgets. Create one with: pricetag budget create NAME --amount AMOUNT"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(budget)
    app.command("audit")(audit)


@budget.command(
    "create",
    epilog="Examples:\n\n"
    "pricetag budget create lab-2026 --amount 500 --period year --warn-at 0.8\n\n"
    "pricetag budget create reviews --amount 200 --metric cost --currency EUR --project reviews",
)
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new budget.")],
    amount: Annotated[
        str,
        typer.Option(
            help="Amount of the budget, in the unit of --metric: kWh, kg CO2e, or --currency."
        ),
    ],
    metric: Annotated[
        Metric, typer.Option(help="Quantity that the budget limits.")
    ] = "facility_energy_kwh",
    currency: Annotated[
        str | None, typer.Option(help="Currency of a budget of cost, e.g. EUR (ISO 4217).")
    ] = None,
    period: Annotated[
        Period,
        typer.Option(help="Period after which the full amount is available again; total: never."),
    ] = "total",
    time_zone: Annotated[
        str,
        typer.Option(help="IANA time zone whose midnight begins a period, e.g. Europe/Berlin."),
    ] = "UTC",
    project: Annotated[str | None, typer.Option(help="Limit the budget to this project.")] = None,
    experiment: Annotated[
        str | None, typer.Option(help="Limit the budget to this experiment of --project.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Limit the budget to this user (name or ID).")
    ] = None,
    create_missing: Annotated[
        bool,
        typer.Option(
            "--create-missing",
            help="Create the project or experiment if it does not exist; you then own the project.",
        ),
    ] = False,
    warn_at: WarnAt = None,
    refuse: Annotated[
        bool, typer.Option(help="Reject new runs that would exceed the budget.")
    ] = True,
    stop: Annotated[
        bool, typer.Option(help="Stop running jobs once the budget is used up.")
    ] = True,
    json: Json = False,
) -> None:
    """Create a budget for a project, an experiment or a user.

    Without --project, --experiment and --user, it is for the whole lab.
    """
    from pricetag.cli.views.budgets import budget_lines

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
    if create_missing:
        body["create_missing"] = True
    with open_client(ctx) as client:
        created = client.create_budget(
            {key: value for key, value in body.items() if value is not None}
        )
    answer(ctx, json, created, budget_lines)


def _scope(project: str | None, experiment: str | None, user: str | None) -> str:
    if user is not None and project is not None:
        raise CliError("use --user or --project, not both", EXIT_USAGE)
    if experiment is not None and project is None:
        raise CliError("--experiment needs --project: name the experiment's project", EXIT_USAGE)
    if user is not None:
        return "user"
    if experiment is not None:
        return "experiment"
    return "project" if project is not None else "lab"


@budget.command("list")
def list_budgets(
    ctx: typer.Context,
    closed: Annotated[bool, typer.Option("--closed", help="List closed budgets, too.")] = False,
    json: Json = False,
) -> None:
    """List budgets with the amount left in each."""
    from pricetag.cli.views.budgets import budgets_view

    with open_client(ctx) as client:
        items = list(client.budgets(closed=closed))
    answer(ctx, json, items, budgets_view, nothing=NO_BUDGETS)


@budget.command("show")
def show(ctx: typer.Context, named: BudgetArgument, json: Json = False) -> None:
    """Show a budget: how much is spent, in use by running jobs, reserved and left."""
    from pricetag.cli.views.budgets import budget_lines

    with open_client(ctx) as client:
        budget = client.get_budget(budget_id(client, named))
    answer(ctx, json, budget, budget_lines)


@budget.command("burn-down")
def burn_down(ctx: typer.Context, named: BudgetArgument, json: Json = False) -> None:
    """Show what a budget's open runs will use, when they reach its limit, and who spent how much.

    The expected time is null where the open runs do not reach the limit.
    """
    from pricetag.cli.views.burn_down import burn_down_lines

    with open_client(ctx) as client:
        state = client.burn_down(budget_id(client, named))
    answer(ctx, json, state, burn_down_lines)


@budget.command("set", epilog="Example: pricetag budget set lab-2026 --amount 600")
def change(
    ctx: typer.Context,
    named: BudgetArgument,
    amount: Annotated[
        str | None, typer.Option(help="New amount of the budget, in its unit.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="New name of the budget.")] = None,
    warn_at: WarnAt = None,
    refuse: Annotated[
        bool | None,
        typer.Option("--refuse/--no-refuse", help="Reject new runs that would exceed the budget."),
    ] = None,
    stop: Annotated[
        bool | None,
        typer.Option("--stop/--no-stop", help="Stop running jobs once the budget is used up."),
    ] = None,
    json: Json = False,
) -> None:
    """Change a budget; options that are omitted keep their values."""
    from pricetag.cli.views.budgets import budget_lines

    wanted = {
        "amount": amount,
        "name": name,
        "thresholds": warn_at or None,
        "refuses": refuse,
        "stops": stop,
    }
    changes = {key: value for key, value in wanted.items() if value is not None}
    if not changes:
        raise CliError("nothing to change; use an option, e.g. --amount 20", EXIT_USAGE)
    with open_client(ctx) as client:
        changed = client.change_budget(budget_id(client, named), changes)
    answer(ctx, json, changed, budget_lines)


@budget.command("close")
def close(ctx: typer.Context, named: BudgetArgument, json: Json = False) -> None:
    """Close a budget: it no longer limits anything, but can still be shown."""
    with open_client(ctx) as client:
        closed = client.close_budget(budget_id(client, named))
    answer(ctx, json, closed, lambda ended: f"'{ended['name']}' is closed")


@budget.command("alerts")
def alerts(
    ctx: typer.Context,
    named: Annotated[
        str | None,
        typer.Argument(metavar="BUDGET", help="Budget to show, by name or ID. Default: all."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of rows.")] = 20,
    json: Json = False,
) -> None:
    """List the warnings of budgets (thresholds of --warn-at that were crossed), newest first."""
    from pricetag.cli.views.budgets import alert_line

    with open_client(ctx) as client:
        only = None if named is None else budget_id(client, named)
        items = list(islice(client.budget_alerts(only), limit))
    answer(ctx, json, items, each(alert_line), nothing="No warnings.")


def audit(
    ctx: typer.Context,
    kind: Annotated[
        AuditKind | None,
        typer.Option(help="Show only changes of this kind of object."),
    ] = None,
    object_id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="Show only changes of the object with this ID."),
    ] = None,
    actor: Annotated[
        str | None,
        typer.Option(
            help="Show only changes made by this user (name), by the `service` itself or in the "
            "`database`."
        ),
    ] = None,
    access: Annotated[
        AuditAccess | None,
        typer.Option(
            help="Show only changes made with a token, in a browser session, on the database "
            "directly, or by the service itself."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Show only changes from this time on: a date (its first instant in UTC) or a time "
            "with zone.",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Show only changes before this time, in the same way as --since."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of rows.")] = 20,
    json: Json = False,
) -> None:
    """Show the audit log: who changed what and when, newest first. Administrators only."""
    from pricetag.cli.views.budgets import audit_line

    filters = {
        "object_kind": kind,
        "object_id": object_id,
        "actor": actor,
        "access": access,
        "since": moment(since),
        "until": moment(until),
    }
    with open_client(ctx) as client:
        items = list(islice(client.audit(**filters), limit))
    answer(ctx, json, items, each(audit_line), nothing="No entries.")


def budget_id(client: Client, named: str) -> str:
    """The id of the budget that a text names.

    Raises:
        CliError: If there is none.
    """
    try:
        return str(uuid.UUID(named))
    except ValueError:
        pass
    for match in client.budgets(name=named, closed=True):
        return str(match["id"])
    raise CliError(f"budget {named!r} not found; `pricetag budget list --closed` lists all budgets")
