"""Commands about waiting runs and their priority."""

from __future__ import annotations

from typing import Annotated

import typer

from pricetag.cli.answering import answer
from pricetag.cli.negatives import FigureCommand
from pricetag.cli.options import Json, RunArgument, open_client


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("queue")(queue)
    app.command("priority", cls=FigureCommand, epilog="Example: pricetag priority last 10")(
        priority
    )


def queue(
    ctx: typer.Context,
    pool: Annotated[str | None, typer.Option(help="Show only this pool of workers.")] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=200, help="Maximum number of waiting runs of each pool.")
    ] = 50,
    json: Json = False,
) -> None:
    """Show the runs that wait in each pool, why they wait, and when each is expected to start.

    The range of an expected start follows from the intervals of the quotes and projections of the
    runs ahead.
    """
    from pricetag.cli.views.queue import queue_view

    with open_client(ctx) as client:
        state = client.queue(pool=pool, limit=limit)
    answer(ctx, json, state, lambda queue: queue_view(queue, pool))


def priority(
    ctx: typer.Context,
    run: RunArgument,
    value: Annotated[
        int,
        typer.Argument(
            metavar="PRIORITY",
            min=-1000,
            max=1000,
            help="New priority, from -1000 to 1000; runs with a higher one start first.",
        ),
    ],
    json: Json = False,
) -> None:
    """Change the priority of your own queued run, or as an administrator of any run."""
    from pricetag.cli.find import run_id

    with open_client(ctx) as client:
        accepted = client.prioritize_run(run_id(client, run), value)
    answer(ctx, json, accepted, lambda moved: f"{moved['id']} has priority {value}")
