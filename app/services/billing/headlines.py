"""Headlines of price tags that were issued by earlier versions."""

from __future__ import annotations

from app.db import Database
from app.repositories.price_tags import headlines
from app.repositories.price_tags.headlines import Maker as Maker
from app.repositories.price_tags.headlines import Place as Place
from app.repositories.price_tags.headlines import made_here

AT_ONCE = 100
"""Price tags in one transaction: a fifth of a second of work."""

BESIDE_REQUESTS = 10
"""The same while requests are answered, which wait for one transaction at most."""


async def fill_some(
    database: Database,
    before: Place | None = None,
    limit: int = AT_ONCE,
    make: Maker = made_here,
) -> Place | None:
    """Adds missing headlines of price tags, newest first, in its own transaction.

    Several servers may do so while the service runs; if interrupted, begin again.

    Args:
        database: Engine and sessions of this process.
        before: Result of the previous step.
        limit: Maximum number of price tags.
        make: Makes headlines of stored documents; by default, in a thread.

    Returns:
        Where the next step continues; None if no older one is left.
    """
    async with database.session_scope() as session:
        return await headlines.fill(session, before, limit, make)


async def left(database: Database) -> int:
    """Number of price tags without a headline."""
    async with database.session_scope() as session:
        return await headlines.left(session)
