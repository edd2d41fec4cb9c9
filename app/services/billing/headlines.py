"""Headlines of price tags that were issued by earlier versions."""

from __future__ import annotations

from app.db import Database
from app.repositories.price_tags import headlines
from app.repositories.price_tags.headlines import Place as Place

AT_ONCE = 200
"""Price tags of one transaction: half a second of work."""


async def fill_some(
    database: Database, before: Place | None = None, limit: int = AT_ONCE
) -> Place | None:
    """Gives price tags without a headline theirs, newest first, in a transaction of its own.

    Several servers may do so while the service runs; if interrupted, begin again.

    Args:
        database: Engine and sessions of this process.
        before: What the step before returned.
        limit: Maximum number of price tags.

    Returns:
        Where the next step goes on; None if no older one is left.
    """
    async with database.session_scope() as session:
        return await headlines.fill(session, before, limit)
