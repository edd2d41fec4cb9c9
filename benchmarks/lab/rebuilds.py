"""What the service derives from the rows and COPY does not bring: each is made by its own code.

Whoever adds a table of sums, balances or thinned series adds the function that rebuilds it
here; the benchmark computes none of them itself.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import psycopg

from app.db import Database, Session, libpq_url
from app.services.attempts import packing
from app.services.budgets import upkeep
from app.services.energy import rollups

Part = TypeVar("Part")


@dataclass(frozen=True)
class Preparation:
    """What must be there before rows of a time can be written, such as partitions by month.

    Attributes:
        name: For the progress of a fill.
        run: Gets the URL of the database, and the first and last time of the history.
    """

    name: str
    run: Callable[[str, datetime, datetime], None]


PREPARATIONS: list[Preparation] = []


@dataclass(frozen=True)
class Rebuild:
    """One derived part of the database.

    Attributes:
        name: For the progress of a fill.
        run: Makes it from the rows that are there; gets the URL of the database.
    """

    name: str
    run: Callable[[str], None]


def _by_part(
    list_parts: Callable[[Session], Awaitable[Iterable[Part]]],
    rebuild: Callable[[Database, Part], Awaitable[object]],
) -> Callable[[str], None]:
    """Rebuilds each part that is listed, one after another."""

    async def rebuild_all(url: str) -> None:
        database = Database(url, application_name="pricetag lab", pool_size=1)
        try:
            async with database.session_scope() as session:
                parts = await list_parts(session)
            for part in parts:
                await rebuild(database, part)
        finally:
            await database.dispose()

    return lambda url: asyncio.run(rebuild_all(url))


def quote_scores(url: str) -> None:
    """Makes the columns of the scores of quotes."""
    some = "SELECT pricetag_fill_quote_scores(%s, 5000)"
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        after: uuid.UUID | None = uuid.UUID(int=0)
        while after is not None:
            row = connection.execute(some, [after]).fetchone()
            after = None if row is None else row[0]


def run_labels(url: str) -> None:
    """Collects the names and tags of the runs."""
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        connection.execute("SELECT pricetag_fill_run_labels()")


def run_figures(url: str) -> None:
    """Copies the figures of runs from their newest price tags."""
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        connection.execute("SELECT pricetag_fill_run_figures()")


def packed_readings(url: str) -> None:
    """Packs the readings of traces; those of other runs are repeated in blocks."""

    async def pack() -> None:
        database = Database(url, application_name="pricetag lab", pool_size=1)
        try:
            after = packing.NOBODY
            while (step := await packing.pack_some(database, after)) is not None:
                after = step.after
        finally:
            await database.dispose()

    asyncio.run(pack())
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        connection.execute("VACUUM FULL readings")  # the file system has the space of the rows


REBUILDS: list[Rebuild] = [
    Rebuild("budget balances", _by_part(upkeep.parts, upkeep.mend)),
    Rebuild("energy roll-ups", _by_part(rollups.months, rollups.rebuild)),
    Rebuild("quote scores", quote_scores),
    Rebuild("labels of runs", run_labels),
    Rebuild("figures of runs", run_figures),
    Rebuild("packed readings", packed_readings),
]
