"""What the service derives from the rows and COPY does not bring: each is made by its own code.

Whoever adds a table of sums, balances or thinned series adds the function that rebuilds it
here; the benchmark computes none of them itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from app.db import Database
from app.services.budgets import upkeep
from app.services.energy import rollups


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


def budget_balances(url: str) -> None:
    """Makes the running balances of budgets."""

    async def rebuild() -> None:
        database = Database(url, application_name="pricetag lab", pool_size=1)
        try:
            async with database.session_scope() as session:
                parts = await upkeep.parts(session)
            for part in parts:
                await upkeep.mend(database, part)
        finally:
            await database.dispose()

    asyncio.run(rebuild())


def energy_rollups(url: str) -> None:
    """Makes the roll-ups of the energy account."""

    async def rebuild() -> None:
        database = Database(url, application_name="pricetag lab", pool_size=1)
        try:
            async with database.session_scope() as session:
                months = await rollups.months(session)
            for month in months:
                await rollups.rebuild(database, month)
        finally:
            await database.dispose()

    asyncio.run(rebuild())


REBUILDS: list[Rebuild] = [
    Rebuild("budget balances", budget_balances),
    Rebuild("energy roll-ups", energy_rollups),
]
