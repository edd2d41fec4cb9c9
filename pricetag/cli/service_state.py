"""Commands about the server in use: its health, and the browsers that are signed in."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from pricetag.cli.answering import answer
from pricetag.cli.console import EXIT_FAILURE
from pricetag.cli.options import Json, open_client

session = typer.Typer(
    name="session",
    no_args_is_help=True,
    help="Show the browsers that are signed in to the dashboard, and sign them out.",
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(session)
    app.command("health")(health)


def health(ctx: typer.Context, json: Json = False) -> None:
    """Show the health of the server: database, disks, workers, queue. Administrators only.

    The exit code is 1 if a check failed.
    """
    from pricetag.cli.views.service_state import health_lines

    with open_client(ctx) as client:
        state = client.lab_health()
    answer(ctx, json, state, health_lines)
    if state["state"] == "failed":
        raise typer.Exit(EXIT_FAILURE)


@session.command("list")
def list_sessions(
    ctx: typer.Context,
    everyone: Annotated[
        bool, typer.Option("--all", help="Show the browsers of all users. Administrators only.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of rows.")] = 50,
    json: Json = False,
) -> None:
    """List the browsers that you are signed in with, newest sign-in first."""
    from pricetag.cli.views.service_state import sessions_view

    with open_client(ctx) as client:
        sessions = list(islice(client.sessions(everyone=everyone), limit))
    answer(ctx, json, sessions, sessions_view, nothing="No browser is signed in.")


@session.command("end")
def end_session(
    ctx: typer.Context,
    session_id: Annotated[str, typer.Argument(metavar="ID", help="ID of the session.")],
    json: Json = False,
) -> None:
    """Sign a browser out at once."""
    from pricetag.cli.views.service_state import session_line

    with open_client(ctx) as client:
        ended = client.end_session(session_id)
    answer(ctx, json, ended, session_line)
