"""Commands about saved views of the list of runs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pricetag.cli.answering import answer
from pricetag.cli.console import EXIT_USAGE, CliError
from pricetag.cli.options import Json, open_client

if TYPE_CHECKING:
    from pricetag.cli.views.tables import ListTable

if TYPE_CHECKING:
    from pricetag.client import Client

ViewArgument = Annotated[str, typer.Argument(metavar="VIEW", help="Name or ID of the view.")]

view = typer.Typer(
    name="view",
    no_args_is_help=True,
    help="Manage saved views: named filters, columns and order of the dashboard's list of runs.",
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(view)


@view.command("list")
def list_views(ctx: typer.Context, json: Json = False) -> None:
    """List your saved views and those that projects share with you."""
    with open_client(ctx) as client:
        views = client.views()
    answer(
        ctx,
        json,
        views,
        _table,
        nothing="No saved views. Save one with: pricetag view save NAME QUERY",
    )


@view.command("show")
def show_view(ctx: typer.Context, named: ViewArgument, json: Json = False) -> None:
    """Show the query of a saved view."""
    with open_client(ctx) as client:
        saved = client.get_view(_view_id(client, named))
    answer(ctx, json, saved, _line)


@view.command(
    "save", epilog="Example: pricetag view save failures 'status=failed&sort=-finished_at'"
)
def save_view(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the view.")],
    query: Annotated[
        str,
        typer.Argument(
            metavar="QUERY",
            help="Filters, order, columns and groups, as after the ? in the address of the page "
            "of runs.",
        ),
    ],
    project: Annotated[
        str | None,
        typer.Option(help="Project to share the view with. Default: none; only you see the view."),
    ] = None,
    default: Annotated[
        bool,
        typer.Option(
            "--default", help="Make the view the default for the runs of --project. Owners only."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Save a view of the list of runs, replacing any of the same name and project."""
    if default and project is None:
        raise CliError("--default needs --project", EXIT_USAGE)
    body = {
        "name": name,
        "query": query.removeprefix("?"),
        "project": project,
        "is_default": default,
    }
    with open_client(ctx) as client:
        saved = client.save_view(body)
    answer(ctx, json, saved, _line)


@view.command("delete")
def delete_view(ctx: typer.Context, named: ViewArgument, json: Json = False) -> None:
    """Delete a saved view. Owners of a project may delete those that it shares."""
    with open_client(ctx) as client:
        view_id = _view_id(client, named)
        client.delete_view(view_id)
    answer(ctx, json, {"id": view_id}, lambda _: f"{named}: deleted")


def _table(views: Sequence[Mapping[str, Any]]) -> ListTable:
    from pricetag.cli.views.tables import ListTable

    heads = ("~View", "~Shared in", "Default", "~Query", "ID")
    rows = [
        (
            saved["name"] or "(link)",
            saved["project"] or "",
            "yes" if saved["is_default"] else "",
            saved["query"],
            saved["id"],
        )
        for saved in views
    ]
    return ListTable(heads, rows)


def _line(saved: Mapping[str, Any]) -> str:
    place = f" in project {saved['project']}" if saved["project"] else ""
    default = ", its default" if saved["is_default"] else ""
    return f"{saved['name'] or '(link)'}{place}{default}  {saved['query']}  {saved['id']}"


def _view_id(client: Client, named: str) -> str:
    """The ID of the view that a text names.

    Raises:
        CliError: If no view, or more than one, has the name.
    """
    try:
        return str(uuid.UUID(named))
    except ValueError:
        matches = [saved for saved in client.views() if saved["name"] == named]
    if len(matches) == 1:
        return str(matches[0]["id"])
    if matches:
        raise CliError(f"{len(matches)} views are named {named!r}; use the ID of one")
    raise CliError(f"view {named!r} not found; `pricetag view list` lists all views")
