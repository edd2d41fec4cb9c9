"""``pricetag headlines``: what lists show of price tags that earlier versions have issued."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Annotated

import typer

from app.cli.support import Json, fail, show, with_database
from app.db import Database
from app.repositories.price_tags.headlines import Maker, stored_headlines
from app.services.billing import headlines as filling

headlines = typer.Typer(
    no_args_is_help=True,
    help="Store the figures that lists show for price tags of earlier versions.\n\n"
    "Headlines are the figures of a price tag that lists show and sort by: energy, emissions, "
    "cost, time. They are missing only after an upgrade from a version without them, until the "
    "server has stored them in the background.",
)

PORTION = 100
"""Price tags that a process makes headlines of at a time."""

SHOWN_EVERY_S = 5.0


@headlines.command("fill")
def fill(
    jobs: Annotated[
        int, typer.Option(min=1, max=64, help="Number of processes that read price tags.")
    ] = 2,
    json: Json = False,
) -> None:
    """Store the figures that lists show for price tags that earlier versions issued.

    The server does the same in the background, more slowly while it answers requests. It can
    keep running while the command runs. If the command is interrupted, run it again.
    """

    def report(stored: int, left: int, rate: float) -> None:
        if not json:
            rest = f", for about {left / rate / 60:.0f} min" if rate else ""
            typer.echo(f"{stored} stored, {left} left{rest}")

    async def over(database: Database) -> int:
        with ProcessPoolExecutor(jobs, get_context("spawn")) as processes:
            return await _fill(database, processes, jobs, report)

    try:
        stored = with_database(over)
    except KeyboardInterrupt:
        raise fail("interrupted: the server continues, or run the command again") from None
    show(json, {"stored": stored}, f"Figures of {stored} price tags stored; none is missing.")


async def _fill(
    database: Database,
    processes: Executor,
    jobs: int,
    report: Callable[[int, int, float], None],
) -> int:
    """Fills with processes and progress; the number of price tags."""
    total = await filling.left(database)
    began_s = shown_s = time.monotonic()
    stored = 0

    def counted(make: Maker) -> Maker:
        async def made(documents: Sequence[bytes]) -> Sequence[bytes]:
            nonlocal stored
            stored += len(documents)
            return await make(documents)

        return made

    make = counted(_shared(processes))
    before = None
    while (place := await filling.fill_some(database, before, jobs * PORTION, make)) is not None:
        before = place
        if time.monotonic() - shown_s > SHOWN_EVERY_S:
            shown_s = time.monotonic()
            report(stored, max(total - stored, 0), stored / (shown_s - began_s))
    return stored


def _shared(processes: Executor) -> Maker:
    """Makes headlines in several processes at once."""

    async def made(documents: Sequence[bytes]) -> Sequence[bytes]:
        loop = asyncio.get_running_loop()
        portions = [
            documents[start : start + PORTION] for start in range(0, len(documents), PORTION)
        ]
        parts = await asyncio.gather(
            *(loop.run_in_executor(processes, stored_headlines, each) for each in portions)
        )
        return [headline for part in parts for headline in part]

    return made
