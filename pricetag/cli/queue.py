"""The command about what waits, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from pricetag.cli.answering import answer
from pricetag.cli.options import Json, open_client
from pricetag.cli.views.queue import queue_view


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("queue")(queue)


def queue(
    ctx: typer.Context,
    pool: Annotated[str | None, typer.Option(help="Show only this pool of workers.")] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=200, help="Maximum number of waiting runs of each pool.")
    ] = 50,
    json: Json = False,
) -> None:
    """Show what waits in each pool, why, and when it is expected to start.

    An expected start has the range that follows from the intervals of the quotes and projections
    of the runs ahead.
    """
    with open_client(ctx) as client:
        state = client.queue(pool=pool, limit=limit)
    answer(ctx, json, state, queue_view)
